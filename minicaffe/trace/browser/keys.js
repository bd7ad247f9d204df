// The keyboard: what each key does, and where keys keep the meaning that a browser gives them.
"use strict";

const KEYS = {
  ArrowRight: "next", ArrowLeft: "back", ArrowDown: "layer-next", ArrowUp: "layer-back", n: "layer-next", p: "layer-back",
  f: "forward", b: "backward", u: "update", Home: "to-start", End: "to-end", " ": "play", "?": "help", t: "predict",
  r: "reveal", e: "layer-end", ".": "iteration-next", ",": "iteration-back",
};
const NEIGHBOURS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  const target = event.target;
  if (event.key === "Escape") return leave(target);
  if (event.shiftKey && event.key.startsWith("Arrow")) return scrollSideways(event);
  if (isTyping(target, event.key)) return;
  if (target.matches("td .number, th .number") && event.key in NEIGHBOURS) return moveInTable(event);
  // a box that scrolls keeps the keys that scroll it, a button the key that presses it
  if (["ArrowUp", "ArrowDown", "Home", "End", " "].includes(event.key) && target.matches("[tabindex='0']")) return;
  if (event.key === " " && target.closest("button, summary, a")) return;
  const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  if (action !== "play") pause();
  actions[action]();
}

// Whether a key belongs to a field. In an empty answer, keys that begin no number keep their meaning: a question is no trap.
function isTyping(target, key) {
  const arrow = key.startsWith("Arrow");
  if (target.matches("input.answer")) return target.value !== "" || !(arrow || "?fbutr".includes(key));
  if (target.matches("select")) return arrow || key === "Home" || key === "End" || key.length === 1;
  return target.matches("input") && (arrow || key === "Home" || key === "End");
}

// Esc closes the panel, else leaves the table or the field.
function leave(target) {
  if (!closeProducts() && target !== document.body) byId("main").focus({ preventScroll: true });
}

function scrollSideways(event) {
  const box = event.target.closest(".scrolls, .pane");
  if (!box || !["ArrowRight", "ArrowLeft"].includes(event.key) || event.target.matches("input")) return;
  event.preventDefault();
  box.scrollBy({ left: event.key === "ArrowRight" ? 60 : -60 });
}

// In a table the arrow keys move among the numbers that can be opened; the table is one stop of the Tab key.
function moveInTable(event) {
  const [down, right] = NEIGHBOURS[event.key], here = event.target.closest("td, th"), row = here.parentElement;
  event.preventDefault();
  const rows = [...row.closest("table").rows], columns = [...row.cells];
  let y = rows.indexOf(row) + down, x = columns.indexOf(here) + right;
  for (; rows[y] && rows[y].cells[x]; y += down, x += right) {
    const number = rows[y].cells[x].querySelector("button.number");
    if (!number) continue;
    event.target.tabIndex = -1;
    number.tabIndex = 0;
    number.focus();
    return;
  }
}

// Leaves one number of each table in the order of the Tab key; the arrow keys reach the others.
function oneTabStop(container) {
  for (const table of container.querySelectorAll("table")) {
    table.querySelectorAll("button.number").forEach((number, i) => { number.tabIndex = i ? -1 : 0; });
  }
}
