// The page of the state machine: nothing walks through it.

const DATA = JSON.parse(document.getElementById("data").textContent);

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

new MachineView(document.querySelector(".grid"), DATA.machine);
