// What a line reads: the arrays that its names stand for, and what they are in the net.
"use strict";

const NAME = /[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*(?!\w|=[^=])/g; // a keyword such as add= is no name that is read
const NOT_NUMBERS = /\.(shape|size|ndim|dtype)\b/; // x.shape[0] does not read the numbers of x
const OF_NET = /^(?:(bottom|top)\[(\d+)\]|self\.blobs\[(\d+)\])\.(data|diff)$/;

// A whole statement: it goes on over further lines as long as a bracket is open.
function statementText(source, line) {
  let text = "", open = 0;
  for (const part of source.lines.slice(line - source.first)) {
    const code = withoutComment(part).trim();
    text += code;
    open += code.split(/[([{]/).length - code.split(/[)\]}]/).length;
    if (open <= 0) break;
  }
  return text;
}

// What of a statement reads: of `y = x` only x, of `y += x` both, of `for y in x` what comes after `in`.
function readingPart(text) {
  const loop = text.match(/^for .*? in (.*)$/), assigned = text.match(/^[^(]*?[^=!<>+\-*/@|&] = (.*)$/);
  return (loop || assigned || [null, text])[1].replace(/"[^"]*"|'[^']*'/g, "");
}

// What the names of the function hold before the present line runs: name → [array by number or null, text].
function namesBefore(trace, stop) {
  const { source } = trace.steps[stop.step], known = new Map();
  for (const step of trace.steps.slice(stop.moment.first, stop.step)) {
    if (step.source !== source) continue;
    if (step.line === trace.sources[source].first) known.clear();
    for (const name of step.also || []) known.delete(name); // what they hold now the page does not have
    for (const [name, number, text] of step.new) known.set(name, [number, text]);
  }
  return known;
}

// What `bottom[0].data` and the like mean; undefined for what the layer itself is going to write.
function inNet(moment, name) {
  const found = name.match(OF_NET);
  if (!found) return undefined;
  const [, role = "param", place, param, kind] = found;
  const value = moment.values.filter(other => other.role === role)[place || param];
  return value && value[kind] !== null && !writes(moment, value, kind) ? [value[kind], ""] : undefined;
}

// The arrays and plain numbers that the present line reads, each name once: [{ name, number, text }].
function readBy(trace, stop) {
  if (stop.step === null) return [];
  const step = trace.steps[stop.step], source = trace.sources[step.source];
  if (step.line === source.first || step.skipped) return [];
  const known = namesBefore(trace, stop), found = new Map(), text = statementText(source, step.line);
  for (const [path] of readingPart(text).matchAll(NAME)) {
    if (NOT_NUMBERS.test(path)) continue;
    const name = [path, path.replace(/(\.\w+|\[\d+\])$/, "")].find(other => known.has(other) || inNet(stop.moment, other));
    if (name) found.set(name, known.get(name) || inNet(stop.moment, name));
  }
  return [...found].map(([name, [number, text]]) => ({ name, number, text }))
    .filter(({ number, text }) => number !== null || text !== "" && Number.isFinite(Number(text)))
    // what a called kernel fills is handed to it, too, but not read; the kernel's own lines say it where it is
    .filter(({ name }) => text.includes("= ") || !step.new.some(([made]) => made === name));
}

// What an array is in the net: the layer's blobs, or the columns of the update, that hold the same numbers now, perhaps
// in another order, as a transposed matrix does. Zeros are everywhere and say nothing.
function sameInLayer(trace, stop, number) {
  const array = trace.arrays[number], wanted = signature(array);
  if (array.values.every(value => numeric(value) === 0)) return [];
  return heldNow(trace, stop).filter(held => held.number === number || signature(trace.arrays[held.number]) === wanted);
}

function heldNow(trace, stop) {
  const { moment } = stop;
  const held = moment.values.flatMap(value => ["data", "diff"].map(kind => ({ number: value[kind],
    name: `${trace.blobs[value.blob].name} ${kind}`, there: subjectOf(trace, stop, value, kind) })));
  if (moment.update) {
    for (const { heading, number, written } of updateColumns(moment)) {
      held.push({ number, name: heading, there: number !== undefined && (!written || isWritten(trace, stop, number)) });
    }
  }
  return held.filter(({ there }) => there);
}

// Marks on the left what the present line reads and what it has made, by a frame and by words.
function markArrays(trace, stop, container) {
  const arrays = numbers => new Set(numbers.filter(number => number !== null)
    .flatMap(number => sameInLayer(trace, stop, number)).map(held => String(held.number)));
  const read = arrays(readBy(trace, stop).map(({ number }) => number));
  const made = arrays(stop.step === null ? [] : trace.steps[stop.step].new.map(([, number]) => number));
  for (const place of container.querySelectorAll("[data-array]")) {
    place.classList.toggle("read", read.has(place.dataset.array));
    place.classList.toggle("made-now", made.has(place.dataset.array));
  }
  return container.querySelector(".made-now") || container.querySelector(".read");
}
