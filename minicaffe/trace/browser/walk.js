// The walk through a trace: its stops, and how to get from one to another. Nothing here touches the page.
//
// Stop 0 is the start, where nothing has run. Each step of a moment is a stop; a moment without steps is one, too.
"use strict";

const PASSES = ["forward", "backward", "update"];

function makeStops(trace) {
  const stops = [{ index: 0, moment: null, step: null, last: false }];
  trace.moments.forEach((moment, number) => {
    moment.start = stops.length;
    moment.number = number;
    for (let i = 0; i < Math.max(moment.count, 1); i++) {
      stops.push({
        index: stops.length, moment,
        step: moment.count ? moment.first + i : null,
        last: i >= moment.count - 1, // everything that the layer writes is there
      });
    }
    moment.end = stops.length - 1;
  });
  return stops;
}

// The first stop of a pass: in the iteration where we are, or in the nearest one that has the pass.
function startOfPass(trace, stop, pass) {
  const iteration = stop.moment ? stop.moment.iteration : 0;
  const wanted = trace.moments.filter(moment => moment.pass === pass);
  const found = wanted.find(moment => moment.iteration >= iteration) || wanted[wanted.length - 1];
  return found ? found.start : null;
}

function nextLayer(trace, stop) {
  const number = stop.moment ? stop.moment.number + 1 : 0;
  return number < trace.moments.length ? trace.moments[number].start : null;
}

// From the middle of a layer this goes to the layer's first line, and from there to the layer before.
function previousLayer(trace, stop) {
  if (!stop.moment) return null;
  if (stop.index > stop.moment.start) return stop.moment.start;
  return stop.moment.number ? trace.moments[stop.moment.number - 1].start : 0;
}

// The first stop of a layer: in the present pass where it runs there, else in the first pass in which it runs.
function startOfLayer(trace, stop, layer) {
  const here = stop.moment || trace.moments[0];
  const runs = trace.moments.filter(moment => moment.layer === layer);
  const found = runs.find(moment => moment.pass === here.pass && moment.iteration === here.iteration) || runs[0];
  return found ? found.start : null;
}

// The same layer, pass and line in another iteration; null where that iteration does not hold it.
function sameIn(trace, stop, iteration) {
  if (!stop.moment) return null;
  const found = trace.moments.find(moment => moment.iteration === iteration && moment.pass === stop.moment.pass &&
    moment.layer === stop.moment.layer && moment.param === stop.moment.param);
  return found ? Math.min(found.start + stop.index - stop.moment.start, found.end) : null;
}

// The steps of the moment that have run at a stop, the present one included.
function stepsSoFar(trace, stop) {
  return stop.step === null ? [] : trace.steps.slice(stop.moment.first, stop.step + 1);
}

// Whether what a layer writes is there already: a line has written it, or the layer is through.
function isWritten(trace, stop, array) {
  return stop.last || stepsSoFar(trace, stop).some(step => step.new.some(([, number]) => number === array));
}

// Whether the lines of a moment write a value's data or diff. Such numbers are not there before they have run.
function writes(moment, value, kind) {
  return moment.count > 0 && makes(moment, value, kind);
}

// Whether the layer of a moment makes a value's data or diff, by its lines or, as a data layer does, without any. A layer
// that runs in place writes over its bottom, of which the data holds only what it is afterwards.
function makes(moment, value, kind) {
  if (moment.pass !== "forward") return value.role !== "top" && kind === "diff";
  return kind === "data" && value.role !== "param" &&
    moment.values.some(other => other.role === "top" && other.blob === value.blob);
}

// The moment before this one that has made what a value holds, or null: the layer that computed the numbers, the layer
// that computed the gradient, or the update of the weights.
function makerOf(trace, moment, blob, kind, array) {
  const made = other => other.pass === "update" ? kind === "data" && other.param === blob && other.update.new === array
    : other.values.some(value => value.blob === blob && value[kind] === array && makes(other, value, kind));
  for (let number = moment.number - 1; number >= 0; number--) {
    if (made(trace.moments[number])) return trace.moments[number];
  }
  return null;
}
