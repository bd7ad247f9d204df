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

// The columns from left to right: { heading, number of the array, written: whether the update makes it, digits } or
// { heading, text }. Few digits let the table fit; of the weight itself one wants to see what has changed.
function updateColumns(moment) {
  const { w, dw, decay, history, rate, step, new: after } = moment.update;
  const given = (heading, number) => ({ heading, number, written: false, digits: 3 });
  const made = (heading, number) => ({ heading, number, written: true, digits: 3 });
  return [
    { ...given("w", w), digits: 4 }, given("dw", dw),
    decay === null ? { heading: "decay", text: "0" } : given("decay", decay),
    ...history.flatMap(([name, before, then]) => [given(`${name} before`, before), made(`${name} after`, then)]),
    { heading: "rate", text: readable(rate) }, made("step", step), { ...made("new w", after), digits: 4 },
  ];
}

// A rate comes as text: 0.10000000149011612 is 0.1 in float32.
function readable(text) {
  return Number.isFinite(Number(text)) ? short(text) : text;
}

function updateTable(trace, stop, flats, redraw) {
  const { moment } = stop, columns = updateColumns(moment), shape = trace.blobs[moment.param].shape;
  const several = iterationsWith(trace, moment).length > 1, total = count(shape);
  const rows = flats.map((flat, position) => {
    const name = narrowPlace(shape, flat), chosen = several && position === weightOf(moment);
    const cells = columns.map(column => element("td", { class: column.heading === "new w" ? "new" : null },
      updateCell(trace, stop, column, position)));
    return element("tr", { class: chosen ? "chosen" : null },
      element("th", { scope: "row" }, several ? chooser(moment, position, name, redraw) : name), cells);
  });
  const head = [header("col", "place"), columns.map(column =>
    element("th", { scope: "col", "data-array": column.number }, column.heading))];
  const caption = `${flats.length < total ? `${flats.length} of ${total} weights; ` : ""}new w = w − step`;
  return element("div", {
    class: "scrolls updates", tabindex: 0, role: "group", "aria-label": "What the solver does to each weight",
  }, element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...head.flat())),
    element("tbody", {}, rows)));
}

function updateCell(trace, stop, column, position) {
  if (column.number === undefined) return element("span", { class: "number" }, column.text);
  if (column.written && !isWritten(trace, stop, column.number)) {
    return element("span", { class: "quiet", title: "not computed yet" }, "…");
  }
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

// The loss of each iteration, for the top of the page. In predict mode the losses that are still to come stay away.
function lossView(trace, stop) {
  if (!stop.moment) return [];
  const here = stop.moment.iteration, iterations = trace.moments[trace.moments.length - 1].iteration + 1;
  const adders = trace.moments.filter(moment => moment.loss !== undefined && (!predict.on || moment.end <= stop.index));
  const known = adders.some(moment => moment.iteration === here && moment.end <= stop.index);
  const hidden = adders.some(moment => moment.values.some(value => isHidden(trace, stop, value.data) && value.role === "top"));
  if (!known || hidden) return [];
  const losses = range(iterations).map(iteration => lossOf(trace, iteration))
    .slice(0, predict.on ? here + 1 : iterations);
  const when = losses.map((_, i) => `in iteration ${i + 1}`);
  return losses.length > 1 && !losses.includes(null) ? [curve("loss", losses, here, when, 170, 26)]
    : [element("span", {}, `loss ${short(losses[here])}`)];
}

// The slider and the curve of one weight. The slider moves to the same line in another iteration.
function curvesView(trace, stop, flats, go) {
  const { moment } = stop, updates = iterationsWith(trace, moment), position = weightOf(moment);
  const here = updates.indexOf(moment);
  // in predict mode the curve ends where we are, for the next weights are still to be computed
  const shown = predict.on ? updates.slice(0, here + 1) : updates, last = shown[shown.length - 1];
  const weights = [...shown.map(({ update }) => update.w), last.update.new].map(number => trace.arrays[number].values[position]);
  const slider = element("input", {
    type: "range", id: "iteration", min: 0, max: updates.length - 1, value: here,
    "aria-valuetext": `update ${here + 1} of ${updates.length}`,
  });
  slider.addEventListener("input", () => go(sameIn(trace, stop, updates[Number(slider.value)].iteration)));
  const name = `${trace.blobs[moment.param].name}${place(trace.blobs[moment.param].shape, flats[position])}`;
  const hides = predict.on && isHidden(trace, stop, moment.update.new); // the curve would give the new weight away
  return element("div", { class: "curves" },
    element("p", {}, element("label", { for: "iteration" }, `Update ${here + 1} of ${updates.length} `), slider),
    hides ? null : curve(name, weights, here + (stop.last ? 1 : 0),
      weights.map((_, i) => i ? `after update ${i}` : "at first"), 400, 84));
}

// A small curve with a dot for each value, the present one large; the values are its alternative text.
function curve(name, stored, at, when, width, height) {
  const values = stored.map(numeric), finite = values.filter(Number.isFinite);
  const low = Math.min(...finite), high = Math.max(...finite);
  const x = i => 8 + i * (width - 16) / Math.max(values.length - 1, 1);
  const y = value => high > low ? height - 8 - (value - low) / (high - low) * (height - 16) : height / 2;
  const points = values.flatMap((value, i) => Number.isFinite(value) ? [[x(i), y(value), i]] : []);
  const path = points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" ");
  const line = drawn("polyline", { points: path, class: "curve" });
  const dots = points.map(([a, b, i]) => i === at ? drawn("circle", { cx: a, cy: b, r: 5, class: "dot now" })
    : drawn("circle", { cx: a, cy: b, r: 2, class: "dot" }));
  const said = `${name}: ${stored.map((value, i) => `${short(value)} ${when[i]}`).join(", ")}`;
  return element("figure", { class: "chart" },
    element("figcaption", {}, element("code", {}, name), ` ${short(stored[at])} `,
      element("span", { class: "quiet" }, `${when[at]}; from ${short(low)} to ${short(high)}`)),
    drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said }, line, ...dots));
}
