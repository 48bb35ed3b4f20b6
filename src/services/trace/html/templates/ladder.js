// The rows of a ladder: choosing one, and unfolding those that are folded.

class LadderView {
  constructor(root, onSelect) {
    this.root = root;
    this.onSelect = onSelect;
    this.rows = [...root.querySelectorAll(".entry")];
    this.selected = -1;
    if (this.rows.length) this.rows[0].firstElementChild.tabIndex = 0;
    root.addEventListener("click", (event) => this.clicked(event));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  clicked(event) {
    const fold = event.target.closest(".fold");
    if (fold) this.unfold(fold);
    const row = event.target.closest(".entry");
    if (row) this.select(Number(row.dataset.position));
  }

  unfold(fold) {
    const button = fold.querySelector("button");
    const isOpen = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isOpen));
    const count = parseInt(button.textContent.replace(/\D/g, ""), 10);
    let row = fold.nextElementSibling;
    for (let left = count; left > 0 && row; left--, row = row.nextElementSibling) row.hidden = isOpen;
  }

  // Show the row even if it is folded away.
  uncover(position) {
    if (!this.rows[position]?.hidden) return;
    let above = this.rows[position];
    while (above && !above.classList.contains("fold")) above = above.previousElementSibling;
    if (above) this.unfold(above);
  }

  // The next row that is not folded away, `by` 1 or -1.
  next(position, by) {
    let to = position + by;
    while (this.rows[to]?.hidden) to += by;
    return this.rows[to] ? to : position;
  }

  select(position, { focus = false } = {}) {
    if (!this.rows[position]) return;
    this.uncover(position);
    this.rows[0].firstElementChild.tabIndex = -1;
    this.deselect();
    const row = this.rows[position];
    row.classList.add("selected");
    row.firstElementChild.tabIndex = 0;
    if (focus) row.firstElementChild.focus({ preventScroll: true });
    this.selected = position;
    this.onSelect(position, row);
  }

  deselect() {
    const before = this.rows[this.selected];
    before?.classList.remove("selected");
    if (before) before.firstElementChild.tabIndex = -1;
    this.selected = -1;
  }

  key(event) {
    if (!event.target.closest(".entry")) return;
    const to = {
      ArrowDown: this.next(this.selected, 1),
      ArrowUp: this.next(this.selected, -1),
      Home: 0,
      End: this.rows.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.select(to, { focus: true });
  }
}

function headingOf(row) {
  const name = row.querySelector(".name").textContent.trim();
  const at = row.querySelector(".at").textContent;
  return `${name} at ${at} s`;
}
