// The byte view. What it shows comes from the wire: it only ever becomes text nodes.

const DATA = JSON.parse(document.getElementById("data").textContent);
const NUMBERS_OF_A_FIELD = 9;

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function grouped(number) {
  return number.toLocaleString("en-US");
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

function fieldsOf(numbers) {
  const fields = [];
  for (let at = 0; at < numbers.length; at += NUMBERS_OF_A_FIELD) {
    const [depth, offset, length, ...texts] = numbers.slice(at, at + NUMBERS_OF_A_FIELD);
    const [name, value, meaning, clause, explanation, problem] = texts.map((text) => DATA.strings[text]);
    fields.push({ depth, offset, length, end: offset + length, name, value, meaning, clause, explanation, problem });
  }
  fields.forEach((field, index) => {
    field.isGroup = index + 1 < fields.length && fields[index + 1].depth > field.depth;
  });
  return fields;
}

// Scroll `box`, and nothing around it, until `item` can be seen.
function reveal(box, item) {
  const outer = box.getBoundingClientRect();
  const inner = item.getBoundingClientRect();
  const margin = Math.min(48, outer.height / 4);
  if (inner.top < outer.top + margin) box.scrollTop -= outer.top + margin - inner.top;
  else if (inner.bottom > outer.bottom - margin) box.scrollTop += inner.bottom - outer.bottom + margin;
}

class ByteView {
  constructor(root) {
    this.root = root;
    this.head = root.appendChild(make("div", "bytes-head"));
    this.hex = root.appendChild(make("div", "hex"));
    this.tree = root.appendChild(make("div", "tree"));
    this.detail = root.appendChild(make("div", "detail"));
    this.hex.tabIndex = 0;
    this.hex.setAttribute("role", "group");
    this.hex.setAttribute("aria-label", "Bytes: the arrow keys go from one to the next");
    this.tree.setAttribute("role", "tree");
    this.tree.setAttribute("aria-label", "Fields");
    this.detail.setAttribute("aria-live", "polite");
    this.listen();
  }

  // `views` are pairs of a title and the number of a view; none where nothing was kept.
  show(heading, views, nothing) {
    this.heading = heading;
    this.views = views;
    this.root.classList.toggle("without", !views.length);
    this.open(0, nothing);
  }

  open(chosen, nothing) {
    this.head.replaceChildren(make("h3", "", this.heading));
    if (this.views.length > 1) this.head.append(this.tabs(chosen));
    for (const part of [this.hex, this.tree, this.detail]) {
      part.replaceChildren();
      part.hidden = !this.views.length;
      part.scrollTop = 0;
    }
    this.root.querySelector(".empty")?.remove();
    this.fields = [];
    this.pinned = this.hot = -1;
    if (!this.views.length) {
      this.root.append(make("p", "empty", nothing));
      return;
    }
    const view = DATA.views[this.views[chosen][1]];
    this.bytes = bytesOf(view.b);
    this.fields = fieldsOf(view.f);
    this.tellSize(view.t);
    this.findOwners();
    this.drawBytes();
    this.drawFields();
    this.pin(this.firstToShow());
  }

  tabs(chosen) {
    const tabs = make("span", "tabs");
    this.views.forEach(([title], index) => {
      const tab = tabs.appendChild(make("button", "", title));
      tab.type = "button";
      tab.setAttribute("aria-pressed", String(index === chosen));
      tab.addEventListener("click", () => {
        this.open(index);
        this.head.querySelectorAll(".tabs button")[index].focus();
      });
    });
    return tabs;
  }

  tellSize(total) {
    const shown = this.bytes.length;
    const text = shown < total ? `the first ${grouped(shown)} of ${grouped(total)} bytes` : `${grouped(total)} bytes`;
    this.head.append(make("span", "cut", text));
  }

  firstToShow() {
    const wrong = this.fields.findIndex((field) => field.problem);
    return wrong < 0 ? 0 : wrong;
  }

  // The innermost field of each byte: fields come before their children, so the last one that has it.
  findOwners() {
    this.owners = new Array(this.bytes.length).fill(-1);
    this.fields.forEach((field, index) => {
      this.owners.fill(index, Math.min(field.offset, this.bytes.length), Math.min(field.end, this.bytes.length));
    });
  }

  drawBytes() {
    this.hexOf = [];
    this.charOf = [];
    const digits = Math.max(4, (this.bytes.length - 1).toString(16).length);
    for (let start = 0; start < this.bytes.length; start += 16) {
      const line = make("div", "line");
      line.append(make("span", "offset", start.toString(16).padStart(digits, "0")));
      const end = Math.min(start + 16, this.bytes.length);
      for (let at = start; at < start + 16; at++) {
        const cell = make("b", at % 16 === 8 ? "gap" : "", at < end ? this.bytes[at].toString(16).padStart(2, "0") : "  ");
        if (at < end) this.byteCell(cell, at, this.hexOf);
        line.append(cell);
      }
      for (let at = start; at < end; at++) {
        const code = this.bytes[at];
        const isShown = code >= 0x20 && code < 0x7f;
        this.byteCell(line.appendChild(make("s", isShown ? "" : "soft", isShown ? String.fromCharCode(code) : "·")), at, this.charOf);
      }
      this.hex.append(line);
    }
  }

  byteCell(cell, at, cells) {
    const owner = this.fields[this.owners[at]];
    cell.dataset.at = at;
    if (owner?.problem && !owner.isGroup) cell.classList.add("wrong");
    if (owner?.name === "Reserved") cell.classList.add("soft");
    cells.push(cell);
  }

  drawFields() {
    this.items = this.fields.map((field, index) => {
      const item = make("div", field.isGroup ? "group" : "");
      item.setAttribute("role", "treeitem");
      item.setAttribute("aria-level", field.depth + 1);
      item.tabIndex = -1;
      item.dataset.field = index;
      item.style.paddingInlineStart = `${0.8 + field.depth * 1.1}rem`;
      if (field.problem) item.classList.add("wrong");
      if (field.name === "Reserved") item.classList.add("reserved");
      item.append(make("span", "field", field.name));
      if (field.value) item.append(make("span", "value", field.value));
      if (field.meaning && field.meaning !== field.value) item.append(make("span", "meaning", field.meaning));
      return item;
    });
    this.tree.append(...this.items);
  }

  // -- marking

  // Mark a field for as long as it is pointed at; -1 goes back to the pinned one.
  point(index, from) {
    if (this.hot >= 0) this.mark(this.hot, "hot", false);
    this.hot = index;
    if (index >= 0) {
      this.mark(index, "hot", true);
      if (from !== this.hex && this.hexOf[this.fields[index].offset]) reveal(this.hex, this.hexOf[this.fields[index].offset]);
      if (from !== this.tree) reveal(this.tree, this.items[index]);
    }
    this.explain(index >= 0 ? index : this.pinned);
  }

  // Mark a field until another one is chosen.
  pin(index) {
    if (this.pinned >= 0) {
      this.mark(this.pinned, "pinned", false);
      this.items[this.pinned].tabIndex = -1;
      this.items[this.pinned].removeAttribute("aria-selected");
    }
    this.pinned = index < this.fields.length ? index : -1;
    if (this.pinned < 0) return;
    this.mark(this.pinned, "pinned", true);
    this.items[this.pinned].tabIndex = 0;
    this.items[this.pinned].setAttribute("aria-selected", "true");
    this.cursor = this.fields[this.pinned].offset;
    reveal(this.tree, this.items[this.pinned]);
    if (this.hexOf[this.cursor]) reveal(this.hex, this.hexOf[this.cursor]);
    this.explain(this.pinned);
  }

  mark(index, className, on) {
    const { offset, end } = this.fields[index];
    this.items[index].classList.toggle(className, on);
    for (let at = offset; at < Math.min(end, this.bytes.length); at++) {
      this.hexOf[at].classList.toggle(className, on);
      this.charOf[at].classList.toggle(className, on);
    }
  }

  explain(index) {
    this.detail.replaceChildren();
    if (index < 0) return;
    const field = this.fields[index];
    this.detail.append(make("h4", "", field.name));
    const list = this.detail.appendChild(make("dl"));
    const tell = (name, text, className) => {
      if (text) list.append(make("dt", "", name), make("dd", className, text));
    };
    tell("Value", field.value, "code");
    tell("Meaning", field.meaning);
    const size = field.length === 1 ? "1 byte" : `${grouped(field.length)} bytes`;
    tell("Bytes", `${size} at ${grouped(field.offset)}`);
    tell("Clause", field.clause);
    if (field.problem) this.detail.append(make("p", "problem", field.problem));
    if (field.explanation) this.detail.append(make("p", "explanation", field.explanation));
  }

  // -- pointer and keyboard

  listen() {
    this.follow(this.hex, (target) => (target.dataset.at ? this.owners[target.dataset.at] : -1));
    this.follow(this.tree, (target) => Number(target.closest("[data-field]")?.dataset.field ?? -1));
    this.tree.addEventListener("focusin", (event) => {
      const item = event.target.closest("[data-field]");
      if (item) this.pin(Number(item.dataset.field));
    });
    this.tree.addEventListener("keydown", (event) => this.keyInTree(event));
    this.hex.addEventListener("keydown", (event) => this.keyInBytes(event));
  }

  follow(box, fieldAt) {
    box.addEventListener("pointerover", (event) => this.point(fieldAt(event.target), box));
    box.addEventListener("pointerleave", () => this.point(-1, box));
    box.addEventListener("click", (event) => {
      const index = fieldAt(event.target);
      if (index >= 0) this.pin(index);
    });
  }

  keyInTree(event) {
    const at = this.pinned;
    const to = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: this.fields.length - 1,
      ArrowRight: this.fields[at]?.isGroup ? at + 1 : at,
      ArrowLeft: this.parentOf(at),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.items[Math.max(0, Math.min(to, this.fields.length - 1))]?.focus({ preventScroll: true });
  }

  parentOf(index) {
    let at = index;
    while (at > 0 && this.fields[at].depth >= this.fields[index].depth) at--;
    return this.fields[at]?.depth < this.fields[index]?.depth ? at : index;
  }

  keyInBytes(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 16, ArrowUp: -16 }[event.key];
    if (by === undefined || !this.bytes.length) return;
    event.preventDefault();
    const to = Math.max(0, Math.min(this.cursor + by, this.bytes.length - 1));
    if (this.owners[to] >= 0) this.pin(this.owners[to]);
    this.cursor = to;
    reveal(this.hex, this.hexOf[to]);
  }
}
