// The conformance report: which cases are shown, and the bytes of a case once it is opened.

class CaseView {
  constructor(root) {
    this.bytes = new ByteView(root.querySelector(".bytes"));
    this.scripts = DATA.cases[root.id];
    this.ladders = [...root.querySelectorAll(".conversation")].map((part, index) => {
      const view = new LadderView(part, (position, row) => this.selected(view, this.scripts[index][position], row));
      return view;
    });
    this.selectFirst();
  }

  // The last bytes tell most: what came there is what the case is about.
  selectFirst() {
    for (const [index, view] of [...this.ladders.entries()].reverse()) {
      const position = this.scripts[index].findLastIndex(({ v: views }) => views.length);
      if (position >= 0) {
        view.select(position);
        return;
      }
    }
    this.bytes.show("Bytes", [], "No bytes of it are in this page.");
  }

  selected(view, { v: views }, row) {
    this.ladders.filter((other) => other !== view).forEach((other) => other.deselect());
    this.bytes.show(headingOf(row), views, row.classList.contains("pdu") ? "Its bytes are not in this page." : "No bytes go with it.");
  }
}

class Report {
  constructor() {
    this.cases = [...document.querySelectorAll("details.case")];
    this.words = new Map(this.cases.map((each) => [each, each.querySelector("summary").textContent.toLowerCase()]));
    this.buttons = [...document.querySelectorAll(".filters button")];
    this.suite = document.querySelector(".filters select");
    this.search = document.querySelector(".filters input");
    this.verdict = "";
    this.views = new Map();
    this.listen();
    const failures = this.buttons.find((button) => button.dataset.verdict === "fail");
    this.filter(failures.disabled ? "" : "fail");
    this.goToAddress();
  }

  listen() {
    this.buttons.forEach((button) => button.addEventListener("click", () => this.filter(button.dataset.verdict)));
    this.suite.addEventListener("change", () => this.filter(this.verdict));
    this.search.addEventListener("input", () => this.filter(this.verdict));
    for (const link of document.querySelectorAll(".summary a")) {
      link.addEventListener("click", () => {
        this.suite.value = link.dataset.suite;
        this.filter(link.dataset.verdict);
      });
    }
    // toggle does not bubble
    document.addEventListener("toggle", (event) => this.opened(event.target), true);
    addEventListener("hashchange", () => this.goToAddress());
    addEventListener("beforeprint", () => this.openForPrint());
  }

  filter(verdict) {
    this.verdict = verdict;
    this.buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict)));
    const wanted = this.search.value.trim().toLowerCase();
    let shown = 0;
    for (const each of this.cases) {
      const fits = (!verdict || each.dataset.verdict === verdict)
        && (!this.suite.value || each.dataset.suite === this.suite.value)
        && this.words.get(each).includes(wanted);
      each.hidden = !fits;
      shown += fits;
    }
    document.querySelector(".shown").textContent = `${shown} of ${this.cases.length} cases`;
    document.querySelector("#cases > .nothing").hidden = shown > 0;
  }

  opened(part) {
    if (!part.matches?.("details.case[open]") || this.views.has(part) || !DATA.cases[part.id]) return;
    this.views.set(part, new CaseView(part));
  }

  // "#ul-12" is a case; so is "#ul-12-c1-e3", a row of one.
  goToAddress() {
    const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const found = there?.closest("details.case");
    if (!found) return;
    if (found.hidden) {
      this.suite.value = this.search.value = "";
      this.filter("");
    }
    found.open = true;
    found.scrollIntoView({ block: "start" });
  }

  openForPrint() {
    for (const each of this.cases) {
      if (!each.hidden && each.dataset.verdict !== "pass" && each.dataset.verdict !== "not-applicable") {
        each.open = true;
        this.opened(each);
      }
    }
  }
}

new Report();
