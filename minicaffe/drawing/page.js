// The page of `minicaffe draw`: choose layers by click and by keyboard, and change the size of the drawing.
"use strict";

const { layers, groups, types } = JSON.parse(document.getElementById("data").textContent);
const views = [...document.querySelectorAll(".view")];
const room = document.getElementById("drawing");
const sheet = document.getElementById("sheet");
let chosen = null; // the index of a layer
let scale = 1;

// --- making elements -----------------------------------------------------------------------------

function element(tag, text = "", ...children) {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
}

function titled(title, ...children) {
  return children.length ? [element("h3", title), ...children] : [];
}

// --- the sheet of a layer ------------------------------------------------------------------------

function table(rows) {
  const made = element("table");
  for (const [head, text] of rows) {
    const line = made.insertRow();
    line.append(element("th", head), element("td", text));
  }
  return made;
}

function factsOf(facts) {
  const rows = [];
  for (const [name, shape] of facts.bottoms) rows.push(["reads", `${name} ${shape}`]);
  for (const [name, shape] of facts.tops) rows.push(["makes", `${name} ${shape}`]);
  if (facts.parameters) rows.push(["parameters", facts.parameters.toLocaleString("en")]);
  if (facts.multiplyAdds) rows.push(["multiply-adds", `${facts.multiplyAdds.toLocaleString("en")} a sample`]);
  return titled(facts.phase ? `Blobs and costs, ${facts.phase}` : "Blobs and costs", table(rows));
}

function linkTo(index) {
  const made = element("button", layers[index].name);
  made.addEventListener("click", () => choose(index));
  return made;
}

function links(indices) {
  const made = element("div", "", ...indices.map(linkTo));
  made.className = "links";
  return made;
}

function datasheetOf(type) {
  if (!types[type]) return [];
  const list = element("dl");
  for (const [label, text] of types[type]) {
    if (label) list.append(element("dt", label));
    list.append(element("dd", text));
  }
  return titled(`Datasheet of ${type}`, list);
}

function show(index) {
  const layer = layers[index];
  const kind = element("p", [layer.type, layer.only].filter(Boolean).join(", "));
  kind.className = "kind";
  const shares = layer.shares.map(([owner, names]) => element("p", `has the parameters ${names} of `, linkTo(owner)));
  const others = (groups[layer.group] ?? []).filter((other) => other !== index);
  const close = element("button", "Close");
  close.className = "close";
  close.addEventListener("click", put);
  sheet.hidden = false;
  sheet.replaceChildren(
    close, element("h2", layer.name), kind, ...layer.facts.flatMap(factsOf), ...titled("Shared", ...shares),
    ...(others.length ? titled(`Drawn as one with ${others.length} more`, links(others)) : []),
    ...titled("As the file has it", element("pre", layer.fields)), ...datasheetOf(layer.type));
  sheet.scrollTop = 0;
}

// --- choosing ------------------------------------------------------------------------------------

function view() {
  return views.find((one) => !one.hidden);
}

// The group of a layer in the drawing that is seen; that of a fold stands for the layers of all its blocks.
function groupOf(index) {
  return view().querySelector(`[data-layers~="${index}"]`);
}

function light(index) {
  document.querySelectorAll(".layer.lit").forEach((group) => group.classList.remove("lit"));
  groupOf(index)?.classList.add("lit");
}

function put() {  // the sheet away
  sheet.hidden = true;
  document.querySelectorAll(".layer.lit").forEach((group) => group.classList.remove("lit"));
  if (chosen !== null) groupOf(chosen)?.focus();
  chosen = null;
}

function choose(index) {
  chosen = index;
  show(index);
  light(index);
  groupOf(index)?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// One layer of each drawing is reached by the Tab key; the arrow keys go on from there.
function focusOn(group) {
  view().querySelectorAll('[tabindex="0"]').forEach((one) => one.setAttribute("tabindex", "-1"));
  group.setAttribute("tabindex", "0");
  group.focus();
  group.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// A fold comes before its layers.
function step(from, by) {
  const place = (group) => 2 * (group.dataset.layer ?? group.dataset.fold) + ("layer" in group.dataset);
  const groups = [...view().querySelectorAll('[role="button"]')].sort((a, b) => place(a) - place(b));
  const next = groups[groups.indexOf(from) + by];
  if (next) focusOn(next);
}

function press(group) {
  if ("fold" in group.dataset) openFold(group);
  else choose(Number(group.dataset.layer));
}

for (const one of views) {
  one.querySelector('.layer[role="button"]')?.setAttribute("tabindex", "0");
  one.addEventListener("click", (event) => {
    const group = event.target.closest(".layer, .fold[role]");
    if (group) press(group);
  });
  one.addEventListener("keydown", (event) => {
    const group = event.target.closest(".layer, .fold[role]");
    if (!group) return;
    if (event.key === "Enter" || event.key === " ") press(group);
    else if (event.key === "ArrowDown") step(group, 1);
    else if (event.key === "ArrowUp") step(group, -1);
    else return;
    event.preventDefault();
  });
}

document.getElementById("find").addEventListener("change", (event) => {
  const name = event.target.value.trim();
  let index = layers.findIndex((layer) => layer.name === name);
  if (index < 0) index = layers.findIndex((layer) => name && layer.name.includes(name));
  if (index < 0) return;
  choose(index);
});

// --- size ----------------------------------------------------------------------------------------

function resize(to) {
  scale = Math.min(Math.max(to, 0.1), 4);
  for (const drawing of document.querySelectorAll(".net-drawing")) {
    const { width, height } = drawing.viewBox.baseVal;
    drawing.setAttribute("width", width * scale);
    drawing.setAttribute("height", height * scale);
  }
}

function fit() {
  resize(Math.min(1, room.clientWidth / view().querySelector("svg").viewBox.baseVal.width));
}

// A large drawing begins a little smaller, and where its first layer would not be seen, with that in the middle.
function begin() {
  resize(Math.max(0.9, Math.min(1, room.clientWidth / view().querySelector("svg").viewBox.baseVal.width)));
  const first = view().querySelector(".layer")?.getBoundingClientRect();
  if (first && first.right > room.clientWidth) room.scrollLeft += (first.left + first.right) / 2 - room.clientWidth / 2;
}
begin();

document.getElementById("smaller").addEventListener("click", () => resize(scale / 1.25));
document.getElementById("larger").addEventListener("click", () => resize(scale * 1.25));
document.getElementById("natural").addEventListener("click", () => resize(1));
document.getElementById("fit").addEventListener("click", fit);
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !sheet.hidden) put();
  else if (event.key === "+") resize(scale * 1.25);
  else if (event.key === "-") resize(scale / 1.25);
});

// --- folds ---------------------------------------------------------------------------------------

// The page holds the drawing with blocks folded, one for each fold in which that alone is open, and one without folds.
function see(open) {
  const next = views.find((one) => (one.dataset.open ?? "") === open) ?? views.at(-1);
  views.forEach((one) => { one.hidden = one !== next; });
  const button = document.getElementById("unfold");
  if (button) button.textContent = open ? "Fold blocks" : "All blocks";
  if (chosen !== null) choose(chosen);
}

function openFold(fold) {
  if (views.length < 2) return;
  see(fold.dataset.fold);
  focusOn(groupOf(Number(fold.dataset.fold)));
}

document.getElementById("unfold")?.addEventListener("click", () => see(views[0].hidden ? "" : "all"));
