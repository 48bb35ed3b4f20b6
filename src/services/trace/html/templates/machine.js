// Table 9-10: what a cell means, and the walk of an association through the table.

class MachineView {
  constructor(root, texts) {
    this.root = root;
    this.texts = texts;
    this.words = root.querySelector(".words");
    this.cells = new Map();
    for (const cell of root.querySelectorAll("td")) {
      this.cells.set(cell.dataset.cell, cell);
      cell.dataset.action = cell.textContent;
    }
    this.heads = [...root.querySelectorAll("thead th[data-state]")];
    this.walk = [];
    this.current = [];
    this.listen();
    this.tell(null);
  }

  cellOf(step) {
    return this.cells.get(`${step.event}-${step.state}`);
  }

  // Take the walk of an association: for each row of its ladder its steps.
  take(rows) {
    let order = 0;
    this.walk = rows.map((row) => row.s.map(([side, event, state, next]) => ({ side, event, state, next, order: ++order })));
    this.begin = [0, 1].map((side) => this.walk.flat().find((step) => step.side === side)?.state);
  }

  // Light up what was walked through until a row, that row's cells most, and faintly what is to come.
  goTo(row) {
    for (const cell of this.cells.values()) {
      cell.className = cell.dataset.action ? "" : "blank";
      cell.replaceChildren(cell.dataset.action);
    }
    this.heads.forEach((head) => head.classList.remove("at-r", "at-a"));
    const at = [...this.begin];
    const visits = new Map();
    this.walk.forEach((steps, index) => {
      for (const step of steps) {
        this.light(step, index, row, visits);
        if (index <= row) at[step.side] = step.next;
      }
    });
    at.forEach((state, side) => state && this.heads[state - 1].classList.add(side ? "at-a" : "at-r"));
    for (const [key, sides] of visits) sides.forEach((orders, side) => this.number(this.cells.get(key), orders, side));
    this.current = this.walk[row] ?? [];
    this.tell(null);
  }

  light(step, index, row, visits) {
    const cell = this.cellOf(step);
    if (!cell) return;
    const key = cell.dataset.cell;
    if (!visits.has(key)) {
      visits.set(key, [[], []]);
      if (index > row) cell.classList.add("ahead");
    }
    visits.get(key)[step.side].push(step.order);
    cell.classList.add(step.side ? "by-a" : "by-r");
    if (index === row) cell.classList.add("now", step.side ? "now-a" : "now-r");
  }

  number(cell, orders, side) {
    if (!orders.length) return;
    const current = this.walk.flat().length && this.isNow(cell, side);
    const shown = current || orders[0];
    cell.append(make(side ? "sub" : "sup", "", orders.length > 1 && !current ? `${shown}+` : String(shown)));
  }

  isNow(cell, side) {
    const step = this.current.find((each) => each.side === side && this.cellOf(each) === cell);
    return step?.order;
  }

  // -- words

  // Tell of a cell, or of the steps of the current row.
  tell(cell) {
    const lines = cell ? [this.wordsOfCell(cell)] : this.current.map((step) => this.wordsOfStep(step));
    if (!lines.length) lines.push(make("p", "", this.walk.length ? "No transition goes with it." : "Point at a cell to read what it means."));
    this.words.replaceChildren(...lines);
  }

  line(className, ...parts) {
    const line = make("p", className);
    for (const [text, isBold] of parts) line.append(isBold ? make("b", "", text) : text);
    return line;
  }

  wordsOfStep(step) {
    const cell = this.cellOf(step);
    const action = cell?.dataset.action ?? "";
    return this.line(
      step.side ? "a" : "r",
      [`${step.side ? "Acceptor" : "Requestor"} `, true],
      [`Sta${step.state} + Evt${step.event} → ${action} → Sta${step.next}`, true],
      [`  ${this.texts.events[step.event]}. ${this.texts.actions[action] ?? ""}`, false],
    );
  }

  wordsOfCell(cell) {
    const [event, state] = cell.dataset.cell.split("-");
    const action = cell.dataset.action;
    const where = [[`Evt${event}`, true], [` ${this.texts.events[event]}, in `, false], [`Sta${state}`, true], [` ${this.texts.states[state]}. `, false]];
    if (!action) return this.line("", ...where, ["Blank: the event cannot happen there or, for a primitive of the local user, must not.", false]);
    const visits = this.walk.flat().filter((step) => this.cellOf(step) === cell);
    const told = visits.slice(0, 8).map((step) => `${step.order} (${step.side ? "acceptor" : "requestor"})`).join(", ");
    return this.line(
      "",
      ...where,
      [action, true],
      [`: ${this.texts.actions[action]} `, false],
      [`→ ${this.texts.next[action].join(" or ")}`, true],
      [told ? `. Walked through as step ${told}${visits.length > 8 ? ", …" : ""}.` : "", false],
    );
  }

  listen() {
    this.root.addEventListener("pointerover", (event) => this.tell(event.target.closest("td")));
    this.root.addEventListener("pointerleave", () => this.tell(document.activeElement?.closest?.("td") ?? null));
    this.root.addEventListener("focusin", (event) => this.tell(event.target.closest("td")));
    this.root.addEventListener("focusout", () => this.tell(null));
    this.root.addEventListener("keydown", (event) => this.key(event));
    const first = this.root.querySelector("td[tabindex]");
    if (first) first.tabIndex = 0;
  }

  // The arrow keys go to the next cell that has an action.
  key(event) {
    const cell = event.target.closest("td");
    const [down, right] = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key] ?? [];
    if (!cell || down === undefined) return;
    event.preventDefault();
    let [row, column] = cell.dataset.cell.split("-").map(Number);
    let to;
    do {
      row += down;
      column += right;
      to = this.cells.get(`${row}-${column}`);
    } while (to && !to.dataset.action);
    if (!to) return;
    cell.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}
