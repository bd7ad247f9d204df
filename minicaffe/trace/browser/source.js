// The right side: the functions that run, the lines that have run lit, each new value under its line.
"use strict";

const SHOWN_LARGE = 4; // of a large array so many numbers stand under a line; the left side has all that the page holds

// What each line has done since its function was last entered: { lines: Map(line → step), round }.
function linesRun(trace, stop) {
  const runs = new Map();
  for (const step of stepsSoFar(trace, stop)) {
    const { source, line } = step;
    if (line === trace.sources[source].first || !runs.has(source)) runs.set(source, new Map());
    const before = runs.get(source).get(line);
    // the line that calls a function has its new values only when the function has come back
    runs.get(source).set(line, before && step.skipped ? { ...before, skipped: step.skipped } : step);
  }
  return runs;
}

function sourceView(trace, stop, redraw) {
  const { moment } = stop;
  if (!moment) return startView(trace);
  if (!moment.count) {
    return [element("p", { class: "note" }, moment.note || "No line of this layer's own code runs here.")];
  }
  const steps = trace.steps.slice(moment.first, moment.first + moment.count);
  const shown = [...new Set(steps.map(step => step.source))];
  const runs = linesRun(trace, stop), here = trace.steps[stop.step];
  return shown.map(number => functionView(trace, stop, number, runs.get(number) || new Map(), here, redraw));
}

// What stands on the right before anything has run: how to read the page.
function startView(trace) {
  const rows = [ // the last ones are left out where the trace does not hold them
    ["Forward", "the layers compute from the input to the loss. The loss is one number that says how wrong the guess is."],
    ["Backward", "the layers run in reverse order. Each number gets a diff: how fast the loss grows when that number grows."],
    ["Update", "the solver moves each weight a little against its diff, so that the loss becomes smaller."],
  ].filter(([word]) => trace.moments.some(moment => moment.pass === word.toLowerCase()));
  return [
    element("h3", {}, "What you will see"),
    element("dl", {}, rows.flatMap(([word, text]) => [element("dt", {}, word), element("dd", {}, text)])),
    element("p", {}, "On this side stands the code that runs. The line that has just run is lit, and the numbers that it " +
      "made stand under it. On the left are the layer's formulas, its inputs, its outputs and its weights."),
    element("p", {}, "An underlined number can be opened: it shows the products that it is the sum of."),
    element("p", { class: "quiet" }, "This page was made by "),
    element("pre", { class: "scrolls", tabindex: 0, role: "group", "aria-label": "Command" }, trace.command),
  ];
}

function functionView(trace, stop, number, lines, here, redraw) {
  const source = trace.sources[number];
  const rows = source.lines.flatMap((text, offset) => {
    const line = source.first + offset, step = lines.get(line);
    const now = here.source === number && here.line === line;
    return [codeLine(line, text, Boolean(step), now), ...(step ? [madeView(trace, stop, step, now, redraw)] : [])];
  });
  const active = here.source === number;
  return element("section", { class: active ? "function active" : "function" },
    element("h3", {}, element("code", {}, source.name), " ", element("span", { class: "quiet path" }, source.path)),
    element("div", { class: "scrolls code", tabindex: 0, role: "group", "aria-label": `Code of ${source.name}` },
      rows.filter(Boolean)));
}

function codeLine(line, text, ran, now) {
  const [, code, comment] = text.match(/^(.*?)((?:\s{2}#|^\s*#).*)?$/);
  const kind = `line${ran ? " ran" : ""}${now ? " now" : ""}`;
  return element("div", { class: kind, "aria-current": now ? "step" : null, "data-line": line },
    element("span", { class: "number-of-line" }, String(line)),
    element("span", { class: "marker", "aria-hidden": "true" }, now ? "▶" : ran ? "·" : ""),
    element("code", {}, code, comment ? element("span", { class: "comment" }, comment) : null),
    now ? element("span", { class: "hidden-visually" }, " (this line has just run)") : null);
}

// The values that a line has made, under the line. The present line's stand in full, below what the line has read.
function madeView(trace, stop, step, now, redraw) {
  const read = now ? readBy(trace, stop) : [];
  const parts = sameArrays(step.new).map(([names, number, text]) => number === null
    ? element("div", { class: "made-one" }, element("code", {}, `${names.join(" = ")} = ${text}`))
    : madeArray(trace, stop, names, number, now, redraw));
  if (step.skipped) {
    parts.push(element("p", { class: "quiet" }, `${plural(step.skipped, "further round")} of this loop ran and is not shown.`));
  }
  if (now && step.calls) parts.push(element("p", { class: "quiet" }, "This line calls the function that follows."));
  if (now && asksFor(trace, stop).length) parts.push(showButton(trace, stop, redraw));
  if (now && branchWords(trace, stop)) parts.push(element("p", { class: "quiet" }, sentence(branchWords(trace, stop))));
  if (read.length && step.new.length) parts.unshift(element("div", { class: "label" }, "makes"));
  if (read.length) parts.unshift(element("div", { class: "label" }, "reads"), ...read.map(entry => readView(trace, stop, entry)));
  return parts.length ? element("div", { class: now ? "made now" : "made" }, parts) : null;
}

// One array or value that the line reads, in short, with what it is in the net.
function readView(trace, stop, { name, number, text }) {
  const what = number === null ? [] : sameInLayer(trace, stop, number).map(held => held.name);
  const hidden = isHidden(trace, stop, number);
  return element("div", { class: "made-one compact" }, name,
    what.length ? element("span", { class: "quiet" }, ` (${what.join(", ")})`) : null,
    ` = ${number === null ? readable(text) : hidden ? "?" : shortArray(trace.arrays[number])}`);
}

// An array in one line.
function shortArray(array) {
  const same = new Set(array.values).size === 1 && (array.whole !== false || array.min === array.max);
  if (array.whole === false && !same) return `${shapeText(array.shape)}, from ${short(array.min)} to ${short(array.max)}`;
  if (array.values.length > 4 && same) return `${shapeText(array.shape)}, all ${short(array.values[0])}`;
  return array.values.length === 1 ? short(array.values[0]) : nested(array);
}

// A line that writes one array under two names shows it once: [[names, array, text]].
function sameArrays(made) {
  const found = [];
  for (const [name, number, text] of made) {
    const same = number === null ? null : found.find(entry => entry[1] === number);
    if (same) same[0].push(name);
    else found.push([[name], number, text]);
  }
  return found;
}

function madeArray(trace, stop, names, number, now, redraw) {
  const array = trace.arrays[number], name = names.join(" = ");
  if (now && asksFor(trace, stop).includes(number)) return questionView(trace, stop, name, number, redraw);
  if (isHidden(trace, stop, number)) return element("div", { class: "made-one" }, element("code", {}, `${name} = ?`));
  const subject = { number, name, product: stop.moment.products.find(product => product.array === number) };
  const title = element("code", {}, `${name} = `);
  if (array.whole === false) {
    return element("div", { class: "made-one" }, title, largeView(trace, stop, subject, now));
  }
  if (!now || array.values.length < 2) {
    const one = array.values.length === 1 ? numberNode(trace, stop, subject, 0, 0) : shortArray(array);
    return element("div", { class: "made-one compact" }, title, one);
  }
  return element("div", { class: "made-one" }, title, element("span", { class: "quiet" }, shapeText(array.shape)),
    wholeView(trace, stop, subject));
}

function largeView(trace, stop, subject, now) {
  const array = trace.arrays[subject.number], places = now ? trace.places[count(array.shape)].slice(0, SHOWN_LARGE) : [];
  const some = places.map((flat, position) => element("span", { class: "some" },
    element("code", {}, `${place(array.shape, flat)} `), numberNode(trace, stop, subject, position, flat)));
  return element("span", {}, element("span", { class: "quiet" },
    shortArray(array)),
  places.length ? element("div", {}, some, element("span", { class: "quiet" }, "…")) : null);
}

// An array in brackets, as Python writes it.
function nested(array) {
  const write = (shape, first) => shape.length === 0 ? short(array.values[first])
    : `[${range(shape[0]).map(i => write(shape.slice(1), first + i * count(shape.slice(1)))).join(", ")}]`;
  return write(array.shape, 0);
}

// Fields for the numbers that this line makes. Of a large array a few places are asked for.
function questionView(trace, stop, name, number, redraw) {
  const array = trace.arrays[number];
  const flats = array.whole === false ? trace.places[count(array.shape)] : range(array.values.length);
  const rows = askedPositions(array).map(position => {
    const named = `${name}${place(array.shape, flats[position])}`;
    const known = !isNumberHidden(trace, stop, number, position);
    return element("div", { class: "ask" }, element("code", {}, `${named} = `),
      known ? element("span", { class: "right" }, `${short(array.values[position])} ✓ right`)
        : answerField(trace, number, position, named, said => redraw(said)));
  });
  return element("div", { class: "made-one" }, element("p", {}, "Type what this line makes, and press Enter:"), rows);
}

function showButton(trace, stop, redraw) {
  const button = element("button", { type: "button", id: "show-answer" }, "Show the numbers ", element("kbd", {}, "r"));
  button.addEventListener("click", () => {
    showAnswers(trace, stop);
    redraw("shown");
  });
  return element("div", {}, button, element("p", { class: "quiet" }, TOLERANCE));
}
