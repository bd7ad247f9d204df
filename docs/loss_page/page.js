"use strict";
// Everything that is shown was computed when the page was made. This script only picks numbers and draws them.
const data = JSON.parse(document.getElementById("data").textContent);
const chosen = { x: 0, t: 0, w: 0, gamma: 0, view: "wide", language: "en", preset: 0,
                 mode: "BATCH_SIZE" };
const SLIDERS = ["x", "t", "w", "gamma"], QUANTITIES = ["loss", "slope"], MODES = ["FULL", "VALID", "BATCH_SIZE", "NONE"];
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const words = () => data.words[chosen.language];
const fill = (text, ...numbers) => text.replace(/@/g, () => numbers.shift());

// --- numbers ---------------------------------------------------------------------------------------------------------

const asNumber = held => held === "nan" ? NaN : held === "inf" ? Infinity : held === "-inf" ? -Infinity : held;

function shown(held, digits = 5) {
  const value = asNumber(held), size = Math.abs(value);
  if (Number.isNaN(value)) return "NaN";
  if (size === Infinity) return value < 0 ? "−∞" : "∞";
  let text = String(Number(value.toPrecision(digits)));
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [front, power] = value.toExponential(2).split("e");
    text = `${Number(front)}·10${[...String(Number(power))].map(c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] || "⁻").join("")}`;
  }
  return text.replace("-", "−");
}

const combination = (gamma = chosen.gamma) => (chosen.t * data.w.length + chosen.w) * data.gamma.length + gamma;

// The numbers of a version (0 to 4) for all x; where it holds none, they are the truth's.
function numbers(version, quantity) {
  const found = [...data.truth[quantity][combination()]], own = data.versions[version][quantity][combination()];
  for (let i = 0; i < own.length; i += 2) found[own[i]] = own[i + 1];
  return found;
}

const red = (version, quantity) => data.versions[version][quantity + "Red"][combination()];

// How the number at x is wrong: the name of the kind, or "right".
function verdict(version, quantity, x) {
  const region = red(version, quantity).find(([from, to]) => asNumber(from) <= x && x <= asNumber(to));
  return region ? data.kinds[region[2]] : "right";
}

// --- plots -----------------------------------------------------------------------------------------------------------

const LEFT = 32, RIGHT = 224, TOP = 8, BELOW = 16, SLOT = 13;  // SLOT is the width of the places of −∞ and ∞
const VIEWS = { close: { end: 6, ticks: [-6, -3, 0, 3, 6] }, near: { end: 24, ticks: [-20, -10, 0, 10, 20] }, wide: { end: 100, ticks: [-80, -40, 0, 40, 80] } };

function make(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// Where x stands in a plot, in pixels.
function across(x) {
  const { end } = VIEWS[chosen.view], slot = chosen.view === "wide" ? SLOT : 0;
  if (Math.abs(x) === Infinity) return x < 0 ? LEFT + SLOT / 2 - 1 : RIGHT - SLOT / 2 + 1;
  return LEFT + slot + (x + end) / (2 * end) * (RIGHT - LEFT - 2 * slot);
}

const nice = size => [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map(n => n * 10 ** Math.floor(Math.log10(size))).find(n => n >= size);

// The largest number on the axis: it stays the same while x and t are moved.
function height(quantity) {
  const { end } = VIEWS[chosen.view], here = chosen.t;
  let largest = 0;
  for (chosen.t = 0; chosen.t < data.t.length; chosen.t++) {
    data.truth[quantity][combination()].forEach((held, i) => {
      if (Math.abs(asNumber(data.x[i])) <= end) largest = Math.max(largest, Math.abs(asNumber(held)));
    });
  }
  chosen.t = here;
  return largest ? nice(largest * 1.02) : 1;
}

function draw(svg, version, quantity) {
  const bottom = Number(svg.getAttribute("viewBox").split(" ")[3]) - BELOW, { end, ticks } = VIEWS[chosen.view];
  const top = height(quantity), low = quantity === "loss" ? 0 : -top, wide = chosen.view === "wide";
  const up = value => bottom - (value - low) / (top - low) * (bottom - TOP);
  svg.replaceChildren();

  const step = [1, 2, 5, 10].map(n => n * 10 ** Math.floor(Math.log10(top))).filter(n => n <= top).pop();
  for (const tick of quantity === "loss" ? [0, step / 2, step] : [-step, 0, step]) {
    make(svg, "path", { class: "grid", d: `M${LEFT} ${up(tick)}H${RIGHT}` });
    make(svg, "text", { x: LEFT - 4, y: up(tick) + 3.5, "text-anchor": "end" }, shown(tick));
  }
  for (const tick of ticks) {
    make(svg, "text", { x: across(tick), y: bottom + 12, "text-anchor": "middle" }, shown(tick));
  }
  make(svg, "path", { class: "axis", d: `M${LEFT} ${bottom}H${RIGHT}` });
  if (wide) {
    for (const side of [-1, 1]) {
      const edge = side < 0 ? LEFT + SLOT : RIGHT - SLOT;
      make(svg, "text", { x: across(side * Infinity), y: bottom + 12, "text-anchor": "middle" }, shown(side * Infinity));
      make(svg, "path", { class: "grid", d: `M${edge} ${TOP}V${bottom}` });
    }
  }

  const labels = [];
  for (const [from, to, kind] of red(version, quantity)) {
    const begin = Math.max(asNumber(from), wide ? -Infinity : -end), stop = Math.min(asNumber(to), wide ? Infinity : end);
    if (begin > stop) continue;
    const x = begin === -Infinity ? LEFT : begin === Infinity ? RIGHT - SLOT : across(begin);
    const right = stop === Infinity ? RIGHT : stop === -Infinity ? LEFT + SLOT : across(stop), name = data.kinds[kind];
    const box = { x, y: TOP, width: Math.max(right - x, 1), height: bottom - TOP };
    make(svg, "rect", name === "lost" ? { ...box, class: "lost", fill: "url(#hatch)" } : { ...box, class: "wrong" });
    if (box.width > 26) labels.push([x + box.width / 2, words().short[name]]);
  }

  const x = data.x.map(asNumber), lines = [data.truth[quantity][combination()], numbers(version, quantity)];
  if (chosen.gamma) lines.push(data.truth[quantity][combination(0)]);
  lines.forEach((held, which) => {
    let path = "", drawing = false;
    held.forEach((each, i) => {
      const value = asNumber(each);
      if (Math.abs(x[i]) > end) return;
      const inside = Number.isFinite(value) && value <= top && value >= low;
      if (inside) path += `${drawing ? "L" : "M"}${across(x[i]).toFixed(1)} ${up(value).toFixed(1)}`;
      drawing = inside;
    });
    if (path) make(svg, "path", { class: ["truth", "own", "plain"][which], d: path });
  });
  for (const [at, text] of labels) {
    make(svg, "text", { class: "label", x: at, y: TOP + 14, "text-anchor": "middle" }, text);
  }

  const here = x[chosen.x];
  if (!wide && Math.abs(here) > end) {
    make(svg, "text", { class: "away", x: here < 0 ? LEFT : RIGHT, y: TOP + 40, "text-anchor": here < 0 ? "start" : "end" },
         here < 0 ? `← x = ${shown(data.x[chosen.x], 8)}` : `x = ${shown(data.x[chosen.x], 8)} →`);
    return;
  }
  make(svg, "path", { class: "mark", d: `M${across(here)} ${TOP}V${bottom}` });
  const value = asNumber(lines[1][chosen.x]);
  if (value <= top && value >= low) make(svg, "circle", { class: "own", cx: across(here), cy: up(value), r: 4 });
}

// --- the five versions -----------------------------------------------------------------------------------------------

// "x ≥ 16.6", "x ≤ −88.7", "9.9 ≤ x ≤ 16.6"
function stretch(from, to) {
  const brief = held => typeof held === "string" ? shown(held) : shown(Math.round(held * 10) / 10);
  if (from === to) return `x = ${brief(from)}`;
  if (from === "-inf") return to === "inf" ? words().all : `x ≤ ${brief(to)}`;
  return to === "inf" ? `x ≥ ${brief(from)}` : `${brief(from)} ≤ x ≤ ${brief(to)}`;
}

function listOfFailures(list, version, quantity) {
  const regions = red(version, quantity);
  list.classList.toggle("good", !regions.length);
  const lines = regions.map(([from, to, kind]) => stretch(from, to) + words().colon + words().fails[data.kinds[kind]]);
  list.replaceChildren(...(lines.length ? lines : [`✓ ${words().never}`]).map(line => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
}

let speaking = 0;

function showVersions() {
  const x = asNumber(data.x[chosen.x]);
  for (const name of SLIDERS) {
    const slider = one(`#${name}`), text = shown(data[name][chosen[name]], 8);
    slider.value = chosen[name];
    slider.setAttribute("aria-valuetext", text);
    one(`output[for="${name}"]`).textContent = text;
  }
  for (const quantity of QUANTITIES) {
    one(`#true-${quantity}`).textContent = shown(data.truth[quantity][combination()][chosen.x]);
  }
  const said = [fill(words().now, one("#true-loss").textContent, one("#true-slope").textContent)];
  all(".version").forEach((card, version) => {
    const parts = [];
    for (const quantity of QUANTITIES) {
      const value = shown(numbers(version, quantity)[chosen.x]), kind = verdict(version, quantity, x);
      draw(one(`svg.${quantity}`, card), version, quantity);
      listOfFailures(one(`ul.${quantity}`, card), version, quantity);
      one(`output.${quantity}`, card).textContent = value;
      const mark = one(`output.${quantity}`, card).nextElementSibling;
      mark.textContent = `${kind === "right" ? "✓" : "✗"} ${words().verdict[kind]}`;
      mark.classList.toggle("bad", kind !== "right");
      parts.push(value, words().verdict[kind]);
    }
    said.push(fill(words().version, version + 1, ...parts));
  });
  clearTimeout(speaking);  // a screen reader hears where a slider stops, not what it passes
  speaking = setTimeout(() => { one("#spoken").textContent = said.join(" "); }, 500);
  one("#key-plain").hidden = !chosen.gamma;
  all("[data-view]").forEach(button => button.setAttribute("aria-pressed", button.dataset.view === chosen.view));
  all("[data-preset]").forEach((button, n) => button.setAttribute("aria-pressed", n === chosen.preset));
  all(".note").forEach((note, n) => { note.hidden = n !== chosen.preset; });
}

function take(preset) {
  const { view, ...values } = data.presets[preset];
  for (const name of SLIDERS) chosen[name] = data[name].indexOf(values[name]);
  chosen.view = view;
  chosen.preset = preset;
}

// --- the four divisors -----------------------------------------------------------------------------------------------

function cell(row, tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  row.append(made);
  return made;
}

function showDivisors() {
  const ignored = one("#ignored").checked, weighted = one("#weighted").checked;
  const batch = data.divisors.cases[`${Number(ignored)},${Number(weighted)}`], own = batch.modes[chosen.mode];
  const isIgnored = (n, c) => ignored && n === data.divisors.unknown[0] && c === data.divisors.unknown[1];
  const body = one("#cells tbody");
  body.replaceChildren();
  data.divisors.x.forEach((scores, n) => {
    const rows = [["x", scores], ["t", batch.t[n]], ["cost", batch.costs[n]], ["gradient", own.dx[n]]];
    rows.forEach(([name, values], which) => {
      const row = body.insertRow();
      row.classList.toggle("counted", chosen.mode === "BATCH_SIZE");
      row.classList.toggle("first", which === 0);
      row.classList.toggle("last", which === rows.length - 1);
      if (which === 0) {
        const head = cell(row, "th", fill(words().row, n) + (weighted ? ` (w = ${batch.w[n]})` : ""));
        head.rowSpan = rows.length;
        head.scope = "rowgroup";
      }
      cell(row, "th", words().cell[name]).scope = "row";
      values.forEach((value, c) => {
        const out = isIgnored(n, c), counts = chosen.mode === "FULL" || (chosen.mode === "VALID" && !out);
        cell(row, "td", out && name === "cost" ? words().ignored : shown(value),
             (name === "cost" && counts ? "counted " : "") + (out ? "ignored" : ""));
      });
    });
  });
  const counts = words().counts[chosen.mode === "VALID" && weighted ? "VALID_weighted" : chosen.mode];
  one("#counts").textContent = fill(counts, own.Z);
  one("#result").textContent = fill(words().result, shown(batch.sum), own.Z, shown(own.L));

  const table = one("#modes tbody"), largest = Math.max(...MODES.map(mode => batch.modes[mode].L));
  table.replaceChildren();
  for (const mode of MODES) {
    const row = table.insertRow(), { Z, L } = batch.modes[mode];
    row.classList.toggle("chosen", mode === chosen.mode);
    cell(row, "th", mode).scope = "row";
    cell(row, "td", Z);
    cell(row, "td", shown(L));
    cell(cell(row, "td", ""), "div", "", "bar").style.width = `${100 * L / largest}%`;
  }
  all("[data-mode]").forEach(button => button.setAttribute("aria-pressed", button.dataset.mode === chosen.mode));
}

// --- find the mistake ------------------------------------------------------------------------------------------------

function answer(box, line) {
  const buttons = all("button", box), right = buttons[line].dataset.wrong === "yes";
  buttons[line].classList.add(right ? "found" : "missed");
  all(".reply", box).forEach((reply, n) => {
    reply.hidden = n !== line;
    reply.classList.toggle("found", right);
  });
  showFound();
}

function showFound() {
  const found = all(".slip button.found").length;
  one("#found").textContent = fill(words().found, found);
  one("#all-found").hidden = found < all(".slip").length;
}

// --- the start -------------------------------------------------------------------------------------------------------

function speak(language) {
  chosen.language = language;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = words().title;
  all("[data-language]").forEach(button => button.setAttribute("aria-pressed", button.dataset.language === language));
  showVersions();
  showDivisors();
  showFound();
}

for (const name of SLIDERS) {
  const slider = one(`#${name}`);
  Object.assign(slider, { min: 0, max: data[name].length - 1, step: 1 });
  slider.addEventListener("input", () => {
    chosen[name] = Number(slider.value);
    chosen.preset = null;
    showVersions();
  });
}
one(".sliders").addEventListener("submit", event => event.preventDefault());
all("[data-preset]").forEach((button, n) => button.addEventListener("click", () => { take(n); showVersions(); }));
all("[data-view]").forEach(button => button.addEventListener("click", () => { chosen.view = button.dataset.view; showVersions(); }));
all("[data-mode]").forEach(button => button.addEventListener("click", () => { chosen.mode = button.dataset.mode; showDivisors(); }));
all("#ignored, #weighted").forEach(box => box.addEventListener("change", showDivisors));
all(".slip").forEach(box => all("button", box).forEach((button, n) => button.addEventListener("click", () => answer(box, n))));
all("[data-language]").forEach(button => button.addEventListener("click", () => {
  history.replaceState(null, "", `#${button.dataset.language}`);  // a link to the page keeps the language
  speak(button.dataset.language);
}));
take(0);
const asked = location.hash.slice(1) || navigator.language.slice(0, 2);
speak(asked in data.words ? asked : "en");
