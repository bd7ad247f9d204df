// Arrays as a person reads them: as matrices with their proof, or as a heat map with a table of some places.
"use strict";

const WIDE = 6; // columns side by side at most
const PROOF_CLASSES = { a: "agrees", d: "differs", k: "kink" };

// A subject says what an array is in the net: { number, name, shape, product, proof }. product and proof may be absent.

// One number: a button where its products are known, hidden in predict mode.
function numberNode(trace, stop, subject, position, flat, digits) {
  if (isNumberHidden(trace, stop, subject.number, position)) {
    return element("span", { class: "number unknown" }, "?", element("span", { class: "hidden-visually" }, " hidden"));
  }
  const stored = trace.arrays[subject.number].values[position];
  const entry = subject.product && subject.product.entries[flat];
  if (!entry) return element("span", { class: "number", title: exactText(stored) }, short(stored, digits));
  return element("button", {
    type: "button", class: "number", title: `${exactText(stored)}: show what it is the sum of`,
    "data-product": stop.moment.products.indexOf(subject.product), "data-flat": flat,
  }, short(stored));
}

// What the central difference says about one number: null where none was computed.
function proofNode(trace, stop, subject, position) {
  const { proof, number } = subject;
  if (!proof || isNumberHidden(trace, stop, number, position)) return null;
  const letter = proof.verdicts[position];
  return element("span", { class: `proof ${PROOF_CLASSES[letter] || "none"}`, title: "ad".includes(letter) ? String(proof.slopes[position]) : null },
    proofText(proof, position), letter === "a" ? element("span", { class: "hidden-visually" }, " agrees") : null);
}

function proofText(proof, position) {
  const letter = proof.verdicts[position], slope = proof.slopes[position];
  if (letter === "k") return `${kinkText(proof, position, slope)} kink`;
  return letter === "a" ? `${short(slope)} ✓` : letter === "d" ? `${short(slope)} ✗ differs` : "not computed";
}

// At a kink the two one-sided differences differ: there is no one slope.
function kinkText(proof, position, slope) {
  const sides = proof.sides && proof.sides[position];
  return sides ? `${short(sides[0], 3)} | ${short(sides[1], 3)}` : short(slope);
}

function isWrong(subject, position) {
  return subject.proof && subject.proof.verdicts[position] === "d";
}

// The axes that matter for the layout. Sizes of 1 at the end, such as those of (2, 10, 1, 1), would make thin columns.
function layoutShape(shape) {
  let length = shape.length;
  while (length > 1 && shape[length - 1] === 1 && count(shape) > 1) length--;
  return shape.slice(0, length);
}

// All numbers of an array of up to 64: a table for each matrix, and of a wide matrix one for every few columns.
function wholeView(trace, stop, subject) {
  const shape = layoutShape(trace.arrays[subject.number].shape);
  if (!trace.arrays[subject.number].values.length) return element("p", { class: "quiet" }, "no numbers");
  const [rows, columns] = [1, 1, ...shape].slice(-2), blocks = count(shape) / (columns * rows);
  const wide = columnsThatFit(trace, subject);
  const tables = range(blocks).flatMap(block => {
    const caption = blocks > 1 ? `[${indices(shape.slice(0, -2), block).join(", ")}, …]` : null;
    const first = block * rows * columns;
    const at = (row, column) => first + row * columns + column;
    return range(Math.ceil(columns / wide)).map(part =>
      matrix(trace, stop, subject, caption, rows, range(columns).slice(part * wide, (part + 1) * wide), at));
  });
  return element("div", { class: "scrolls matrices", tabindex: 0, role: "group", "aria-label": subject.name }, tables);
}

// How many columns have room where the page is 1280 pixels wide: less under a line of code than on the left side.
function columnsThatFit(trace, { number, proof }) {
  const fit = (texts, letter, room) => Math.floor(room / (letter * Math.max(...texts.map(text => text.length)) + 13));
  const { values } = trace.arrays[number];
  const numbers = fit(values.map(value => short(value)), 7.9, 485);
  return Math.max(1, Math.min(WIDE, numbers, proof ? fit(values.map((_, i) => proofText(proof, i)), 7.3, 565) : WIDE));
}

// The given columns of a matrix; at(row, column) is a number's position.
function matrix(trace, stop, subject, caption, rows, columns, at) {
  const corner = rows > 1 ? element("td") : null;
  const head = columns.length > 1 || columns[0] > 0
    ? element("thead", {}, element("tr", {}, corner, columns.map(column => header("col", column)))) : null;
  const body = range(rows).map(row => element("tr", {}, rows > 1 ? header("row", row) : null,
    columns.map(column => cell(trace, stop, subject, at(row, column)))));
  return element("table", { class: "matrix", "aria-label": `${subject.name}${caption ? ` ${caption}` : ""}` },
    caption ? element("caption", {}, caption) : null, head, element("tbody", {}, body));
}

function range(size) {
  return [...Array(size).keys()];
}

function header(scope, text) {
  return element("th", { scope }, String(text));
}

function cell(trace, stop, subject, position) {
  return element("td", { class: isWrong(subject, position) && !isHidden(trace, stop, subject.number) ? "wrong" : null },
    numberNode(trace, stop, subject, position, position), proofNode(trace, stop, subject, position));
}

const THIN = 16; // pixels of a vector's picture, which else would be a hair

// A large array as a picture, with its extremes. A pixel may stand for several numbers: `seen` says for what.
function pictureView(array, name, isImage) {
  const range = `smallest ${short(array.min)}, largest ${short(array.max)}, mean ${short(array.mean)}`;
  if (!array.picture) return element("p", { class: "quiet" }, range);
  const scale = Math.max(1, Math.min(10, Math.floor(230 / Math.max(array.width, array.height))));
  const picture = element("img", {
    src: array.picture, width: Math.max(array.width * scale, THIN), height: Math.max(array.height * scale, THIN),
    alt: `${isImage ? "Image" : "Heat map"} of ${name}, ${shapeText(array.shape)}: ${array.seen || ""}; ${range}`,
  });
  return element("figure", { class: "picture" }, picture, isImage ? null : legend(array),
    element("figcaption", {}, array.seen ? `${array.seen}; ` : "", range));
}

// The colours of a heat map run over the same distance to both sides of 0.
function legend(array) {
  const limit = Math.max(Math.abs(array.min), Math.abs(array.max));
  return element("div", { class: "legend", "aria-hidden": "true" },
    element("span", {}, short(0 - limit, 3)), element("span", { class: "colours" }), element("span", {}, short(limit, 3)));
}

// The places of a large array that the page holds: data, diff and proof in one table.
function placesTable(trace, stop, data, diff) {
  const known = data || diff, shape = trace.arrays[known.number].shape, places = trace.places[count(shape)];
  const kinds = [["data", data], ["diff", diff]].filter(([, subject]) => subject);
  const proved = diff && diff.proof;
  const head = ["place", ...kinds.map(([word]) => word), ...(proved ? ["central difference"] : [])];
  const rows = places.map((flat, position) => element("tr", { class: proved && isWrong(diff, position) ? "wrong" : null },
    header("row", place(shape, flat)),
    kinds.map(([, subject]) => element("td", {}, numberNode(trace, stop, subject, position, flat))),
    proved ? element("td", {}, proofNode(trace, stop, diff, position)) : null));
  const name = `${places.length} of the ${count(shape)} numbers of ${known.name}`;
  return element("div", { class: "scrolls places", tabindex: 0, role: "group", "aria-label": name },
    element("table", {}, element("caption", {}, `${places.length} of ${count(shape)} numbers, at places drawn once`),
      element("thead", {}, element("tr", {}, head.map(word => header("col", word)))), element("tbody", {}, rows)));
}

// One blob of the layer: its data and its diff, as far as they are there.
function valueView(trace, stop, value) {
  const blob = trace.blobs[value.blob];
  const subjects = Object.fromEntries(["data", "diff"].map(kind => [kind, subjectOf(trace, stop, value, kind)]));
  const title = element("h4", {}, `${value.role} `, element("code", {}, blob.name), " ",
    element("span", { class: "quiet" }, shapeText(blob.shape)));
  const notes = [value.note, blob.shared === undefined ? null : `It shares its memory with ${trace.blobs[blob.shared].name}.`];
  const follow = subjects.diff && followNode(trace, subjects.diff);
  const parts = ["data", "diff"].map(kind => kindView(trace, stop, value, kind, subjects[kind]));
  const large = Object.values(subjects).filter(subject => subject && isLarge(trace, subject));
  const table = large.length
    ? placesTable(trace, stop, ...["data", "diff"].map(kind => large.includes(subjects[kind]) ? subjects[kind] : null)) : null;
  return element("section", { class: "value", "data-blob": value.blob, "data-role": value.role }, title,
    notes.filter(Boolean).map(note => element("p", { class: "quiet" }, note)),
    element("div", { class: "pair" }, parts, follow, table));
}

function isLarge(trace, subject) {
  return trace.arrays[subject.number].whole === false;
}

// The array of a value that can be shown now, with its products and its proof; null where it is not there.
function subjectOf(trace, stop, value, kind) {
  const number = value[kind];
  if (number === null || number === undefined) return null;
  if (writes(stop.moment, value, kind) && !isWritten(trace, stop, number)) return null;
  const same = entry => entry.blob === value.blob && entry.role === value.role;
  return {
    number, name: `${trace.blobs[value.blob].name} ${kind}`,
    product: stop.moment.products.find(product => same(product) && product.of === kind),
    proof: kind === "diff" ? stop.moment.proofs.find(proof => same(proof) && proof.array === number) : null,
  };
}

function kindView(trace, stop, value, kind, subject) {
  if (value[kind] === null || value[kind] === undefined) return null;
  const title = element("h5", { class: kind }, kind,
    subject && subject.proof ? element("span", { class: "quiet" }, " and its central difference") : null,
    subject ? makerView(trace, stop, value.blob, kind, subject.number) : null);
  if (!subject) {
    const inPlace = value.role === "bottom" && kind === "data";
    const said = inPlace ? "The layer runs in place: it writes over these numbers." : "not computed yet";
    return element("div", { class: "kind" }, title, element("p", { class: "quiet" }, said));
  }
  return element("div", { class: "kind", "data-array": subject.number }, title, numbersView(trace, stop, value, kind, subject));
}

function numbersView(trace, stop, value, kind, subject) {
  if (!isLarge(trace, subject)) return wholeView(trace, stop, subject);
  if (isHidden(trace, stop, subject.number)) return element("p", {}, "hidden until you type its numbers");
  return pictureView(trace.arrays[subject.number], subject.name, kind === "data" && trace.blobs[value.blob].image);
}

// A button that goes to the layer that has made these numbers; the browser's own way back leads here again.
function makerView(trace, stop, blob, kind, array) {
  const maker = makerOf(trace, stop.moment, blob, kind, array);
  if (!maker) return null;
  const who = maker.pass === "update" ? `update ${maker.iteration + 1}` : trace.layers[maker.layer].name;
  return [" ", element("button", { type: "button", class: "maker", "data-stop": maker.end },
    `made by ${who}, step ${maker.end}`)];
}
