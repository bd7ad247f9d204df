// The solver's step: a table of what it does to each weight, and how a weight and the loss move over the updates.
"use strict";

const chosenWeight = new Map(); // param → position of the weight whose curve is drawn

function updateView(trace, stop, go, redraw) {
  const { moment } = stop, columns = moment.update, param = trace.blobs[moment.param];
  const array = trace.arrays[columns.w];
  const flats = array.whole === false ? trace.places[count(array.shape)] : range(array.values.length);
  const parts = [
    element("p", {}, `The solver changes ${param.name}, ${shapeText(param.shape)}. rate = ${readable(columns.rate)}`,
      columns.rate_of ? element("span", { class: "quiet" }, ` (${columns.rate_of})`) : null),
  ];
  if (iterationsWith(trace, moment).length > 1) parts.push(curvesView(trace, stop, flats, go));
  parts.push(updateTable(trace, stop, flats, redraw));
  return parts;
}

// The columns from left to right: { heading, number of the array, written: is it made by the update, digits } or
// { heading, text }. Few digits let the table fit; of the weight itself one wants to see what has changed.
function updateColumns(trace, moment) {
  const { w, dw, decay, history, rate, step, new: after } = moment.update;
  return [
    ["w", w], ["dw", dw], ["decay", decay === null ? "0" : decay],
    ...history.flatMap(([name, before, then]) => [[`${name} before`, before], [`${name} after`, then, true]]),
    ["rate", rate], ["step", step, true], ["new w", after, true],
  ].map(([heading, held, written]) => typeof held === "string"
    ? { heading, text: readable(held) } : { heading, number: held, written: Boolean(written), digits: heading.endsWith("w") && heading !== "dw" ? 4 : 3 });
}

// A rate comes as text: 0.10000000149011612 is 0.1 in float32.
function readable(text) {
  return Number.isFinite(Number(text)) ? short(text) : text;
}

function updateTable(trace, stop, flats, redraw) {
  const { moment } = stop, columns = updateColumns(trace, moment), shape = trace.blobs[moment.param].shape;
  const several = iterationsWith(trace, moment).length > 1;
  const rows = flats.map((flat, position) => element("tr", { class: several && position === weightOf(moment) ? "chosen" : null },
    header("row", several ? null : narrowPlace(shape, flat)),
    columns.map(column => element("td", { class: column.heading === "new w" ? "new" : null }, updateCell(trace, stop, column, position)))));
  if (several) rows.forEach((row, position) => row.firstChild.replaceChildren(chooser(moment, position, narrowPlace(shape, flats[position]), redraw)));
  const total = count(shape), caption = flats.length < total ? `${flats.length} of ${total} weights; new w = w − step` : "new w = w − step";
  return element("div", { class: "scrolls updates", tabindex: 0, role: "group", "aria-label": "What the solver does to each weight" },
    element("table", {}, element("caption", {}, caption),
      element("thead", {}, element("tr", {}, header("col", "place"), columns.map(column => header("col", column.heading)))),
      element("tbody", {}, rows)));
}

function updateCell(trace, stop, column, position) {
  if (column.number === undefined) return element("span", { class: "number" }, column.text);
  if (column.written && !isWritten(trace, stop, column.number)) return element("span", { class: "quiet", title: "not computed yet" }, "…");
  return numberNode(trace, stop, { number: column.number }, position, position, column.digits);
}

// Without blanks, for the table has many columns.
function narrowPlace(shape, flat) {
  return place(shape, flat).replaceAll(" ", "") || "w";
}

// A click on a place draws the curve of that weight.
function chooser(moment, position, name, redraw) {
  const button = element("button", {
    type: "button", class: "number", title: "draw the curve of this weight", id: `weight-${position}`,
    "aria-pressed": position === weightOf(moment),
  }, name);
  button.addEventListener("click", () => {
    chosenWeight.set(moment.param, position);
    redraw();
  });
  return button;
}

function weightOf(moment) {
  return chosenWeight.get(moment.param) || 0;
}

function iterationsWith(trace, moment) {
  return trace.moments.filter(other => other.pass === "update" && other.param === moment.param);
}

function lossOf(trace, iteration) {
  const losses = trace.moments.filter(moment => moment.iteration === iteration && moment.loss !== undefined);
  return losses.length ? losses.reduce((sum, moment) => sum + numeric(moment.loss), 0) : null;
}

// The slider and the two curves. The slider moves to the same line in another iteration.
function curvesView(trace, stop, flats, go) {
  const { moment } = stop, updates = iterationsWith(trace, moment), position = weightOf(moment);
  const here = updates.indexOf(moment), last = updates[updates.length - 1];
  const weights = [...updates.map(update => trace.arrays[update.update.w].values[position]), trace.arrays[last.update.new].values[position]];
  const losses = updates.map(update => lossOf(trace, update.iteration));
  const slider = element("input", {
    type: "range", id: "iteration", min: 0, max: updates.length - 1, value: here,
    "aria-valuetext": `update ${here + 1} of ${updates.length}`,
  });
  slider.addEventListener("input", () => go(sameIn(trace, stop, updates[Number(slider.value)].iteration)));
  const name = `${trace.blobs[moment.param].name}${place(trace.blobs[moment.param].shape, flats[position])}`;
  const hides = predict.on && isHidden(trace, stop, moment.update.new); // the curve would give the new weight away
  return element("div", { class: "curves" },
    element("p", {}, element("label", { for: "iteration" }, `Update ${here + 1} of ${updates.length} `), slider),
    hides ? null : element("div", { class: "pair" }, curve(name, weights, here + (stop.last ? 1 : 0), "after update"),
      losses.includes(null) ? null : curve("loss", losses, here, "iteration")));
}

// A small curve with a dot for each value, the present one large; the values are its alternative text.
function curve(name, stored, at, axis) {
  const values = stored.map(numeric), finite = values.filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite), width = 250, height = 84;
  const x = i => 8 + i * (width - 16) / Math.max(values.length - 1, 1);
  const y = value => high > low ? height - 8 - (value - low) / (high - low) * (height - 16) : height / 2;
  const points = values.flatMap((value, i) => Number.isFinite(value) ? [[x(i), y(value), i]] : []);
  const line = drawn("polyline", { points: points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" "), class: "curve" });
  const dots = points.map(([a, b, i]) => drawn("circle", { cx: a, cy: b, r: i === at ? 5 : 2, class: i === at ? "dot now" : "dot" }));
  const said = `${name} ${axis} ${stored.map((value, i) => `${i}: ${short(value)}`).join(", ")}`;
  return element("figure", { class: "chart" },
    element("figcaption", {}, element("code", {}, name), ` ${short(stored[at])} `,
      element("span", { class: "quiet" }, `${axis} ${at}; from ${short(low)} to ${short(high)}`)),
    drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said }, line, ...dots));
}
