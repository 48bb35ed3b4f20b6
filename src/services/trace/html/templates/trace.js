// The page of a trace: one association at a time; ladder, state machine and bytes show the same row.

const SECONDS_OF_A_STEP = 1.2;
const NOTHING_KEPT = "Its bytes are not in this page.";

class TracePage {
  constructor() {
    this.bytes = new ByteView(document.querySelector(".bytes"));
    this.machine = new MachineView(document.querySelector(".pane.grid"), DATA.machine);
    this.ladders = [...document.querySelectorAll(".conversation")].map(
      (root) => new LadderView(root, (position, row) => this.selected(position, row)),
    );
    this.toolbar = document.querySelector(".toolbar");
    this.position = this.toolbar.querySelector(".position");
    this.timer = null;
    this.association = -1;
    this.listen();
    this.goToAddress();
  }

  get ladder() {
    return this.ladders[this.association];
  }

  open(association) {
    if (association === this.association) return;
    this.stop();
    this.ladder?.deselect();
    this.association = association;
    for (const part of document.querySelectorAll("[data-association]")) {
      const isThis = Number(part.dataset.association) === association + 1;
      if (part.tagName === "TR") part.classList.toggle("current", isThis);
      else part.hidden = !isThis;
    }
    this.machine.take(DATA.associations[association]);
    this.problems = this.ladder.rows.filter((row) => row.classList.contains("wrong")).map((row) => Number(row.dataset.position));
    this.toolbar.querySelector("[data-go=problem]").hidden = !this.problems.length;
  }

  // "#a2-e5" is row 5 of the second association.
  goToAddress() {
    const [, association, row] = /^#a(\d+)(?:-e(\d+))?$/.exec(location.hash) ?? [];
    const there = association && this.ladders[association - 1] ? association - 1 : Math.max(0, this.association);
    this.open(there);
    const first = this.ladder.rows.findIndex((each) => each.classList.contains("pdu"));
    this.ladder.select(row && this.ladder.rows[row] ? Number(row) : Math.max(0, first));
    if (!this.ladder.rows.length) this.bytes.show("", [], "None of its PDUs are in this page.");
    if (row) document.querySelector(".workbench").scrollIntoView({ block: "nearest" });
  }

  selected(position, row) {
    reveal(document.querySelector(".ladders"), row);
    const isPDU = row.classList.contains("pdu");
    const { v: views } = DATA.associations[this.association][position];
    this.bytes.show(headingOf(row), views, isPDU ? NOTHING_KEPT : "No bytes go with it.");
    this.machine.current = this.machine.walk[position] ?? [];
    this.machine.goTo(position);
    this.position.textContent = `${position + 1} of ${this.ladder.rows.length}`;
    const isFirst = this.ladder.next(position, -1) === position;
    const isLast = this.ladder.next(position, 1) === position;
    for (const name of ["first", "back"]) this.button(name).disabled = isFirst;
    for (const name of ["on", "last"]) this.button(name).disabled = isLast;
    if (isLast) this.stop();
  }

  button(name) {
    return this.toolbar.querySelector(`[data-go=${name}]`);
  }

  // -- going through it

  go(where) {
    const { selected, rows } = this.ladder;
    if (where === "play") return this.timer ? this.stop() : this.play();
    this.stop();
    const to = {
      first: 0,
      back: this.ladder.next(selected, -1),
      on: this.ladder.next(selected, 1),
      last: rows.length - 1,
      problem: this.problems.find((position) => position > selected) ?? this.problems[0],
    }[where];
    if (to !== undefined) this.ladder.select(to);
    return undefined;
  }

  play() {
    const { selected, rows } = this.ladder;
    if (this.ladder.next(selected, 1) === selected && rows.length) this.ladder.select(0);
    this.timer = setInterval(() => this.ladder.select(this.ladder.next(this.ladder.selected, 1)), SECONDS_OF_A_STEP * 1000);
    this.tellPlaying();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.tellPlaying();
  }

  tellPlaying() {
    this.button("play").textContent = this.timer ? "Pause" : "Play";
    this.button("play").setAttribute("aria-pressed", String(Boolean(this.timer)));
  }

  listen() {
    this.toolbar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.go(button.dataset.go);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.goToAddress());
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (!event.target.closest?.(".toolbar, .ladders")) return;
    const where = { ArrowLeft: "back", ArrowRight: "on", p: "play" }[event.key];
    const alone = { Home: "first", End: "last" }[event.key];
    if (where) this.go(where);
    else if (alone && event.target.closest(".toolbar")) this.go(alone);
    else return;
    event.preventDefault();
  }
}

if (document.querySelector(".workbench")) new TracePage();
