// Predict mode: the numbers that a line makes stay hidden until they are typed, or until a button shows them.
"use strict";

const ASKED = 8;        // of an array of up to so many numbers every one is asked for
const ASKED_OF_MORE = 4; // of a larger one these many
const NEAR = 0.01, NEAR_OF_LARGEST = 0.001;
const TOLERANCE = "A number counts as right within 1 % of the true one, or within a thousandth of the array's largest.";

const predict = { on: false, questions: null, opened: new Set(), right: new Set(), counts: { right: 0, wrong: 0, shown: 0 } };

// What tells arrays apart for a person who computes them: a transposed copy holds the same numbers, and is not asked
// for again.
function signature(array) {
  if (array.whole === false) return [count(array.shape), array.min, array.max, array.mean].join("|");
  return [array.values.length, ...array.values.map(numeric).sort((a, b) => a - b)].join("|");
}

// Finds the stop at which each array is seen for the first time. A line that computes it there asks for it. What a
// function is given, and what is all 0, is never asked for.
function findQuestions(trace, stops) {
  const questions = new Map(), given = -1;
  const note = (number, stop) => {
    if (number === null || number === undefined) return;
    const array = trace.arrays[number], key = signature(array);
    if (questions.has(key)) return;
    const trivial = !array.values.length || array.values.every(value => numeric(value) === 0);
    questions.set(key, trivial ? given : stop);
  };
  for (const stop of stops.slice(1)) {
    const { moment, step } = stop;
    if (stop.index === moment.start) {
      for (const value of moment.values) {
        if (!writes(moment, value, "data")) note(value.data, given);
        if (!writes(moment, value, "diff")) note(value.diff, given);
      }
      if (moment.update) [moment.update.w, moment.update.dw].forEach(number => note(number, given));
    }
    if (step !== null) {
      const { source, line, new: made } = trace.steps[step];
      const entered = line === trace.sources[source].first;
      made.forEach(([, number]) => note(number, entered ? given : stop.index));
    }
    if (stop.last) {
      momentArrays(moment).forEach(number => note(number, given));
    }
  }
  return questions;
}

function momentArrays(moment) {
  const columns = moment.update;
  const found = moment.values.flatMap(value => [value.data, value.diff]);
  return columns ? [...found, columns.step, columns.new, ...columns.history.flatMap(entry => entry.slice(1))] : found;
}

// Whether an array is still hidden at a stop. What earlier layers have made is shown, for one computes with it.
function isHidden(trace, stop, number) {
  if (!predict.on || number === null || !stop.moment) return false;
  const key = signature(trace.arrays[number]);
  const asked = predict.questions.get(key);
  return asked !== undefined && asked >= stop.moment.start && !predict.opened.has(key);
}

function isNumberHidden(trace, stop, number, position) {
  return isHidden(trace, stop, number) && !predict.right.has(`${number}/${position}`);
}

// The positions in an array's values that are asked for.
function askedPositions(array) {
  const all = array.values.length;
  if (all <= ASKED) return [...Array(all).keys()];
  return [...Array(ASKED_OF_MORE).keys()].map(i => Math.floor(i * all / ASKED_OF_MORE));
}

// The arrays that the present line asks for: each once, also where the line writes it under two names.
function asksFor(trace, stop) {
  if (!predict.on || stop.step === null) return [];
  const numbers = trace.steps[stop.step].new.map(([, number]) => number);
  return [...new Set(numbers)].filter(number => isHidden(trace, stop, number) &&
    predict.questions.get(signature(trace.arrays[number])) <= stop.index);
}

// Reads what a person types: 0.5, -1e-3, 0,5 or 1/3. Returns null for anything else.
function readNumber(text) {
  const plain = text.trim().toLowerCase().replace(/[−–]/g, "-").replace(",", ".");
  const words = { nan: NaN, inf: Infinity, infinity: Infinity, "-inf": -Infinity, "-infinity": -Infinity, true: 1, false: 0 };
  if (plain in words) return words[plain];
  const parts = plain.split("/");
  if (!plain || parts.length > 2 || parts.some(part => !part || Number.isNaN(Number(part)))) return null;
  return parts.length === 2 ? Number(parts[0]) / Number(parts[1]) : Number(plain);
}

function isNear(typed, array, position) {
  const truth = numeric(array.values[position]);
  if (!Number.isFinite(truth)) return Object.is(typed, truth);
  const largest = Math.max(...array.values.map(value => Math.abs(numeric(value))).filter(Number.isFinite));
  return Math.abs(typed - truth) <= Math.max(NEAR * Math.abs(truth), NEAR_OF_LARGEST * largest);
}

// Judges what was typed into a field. Returns "right", "not yet" or "unreadable".
function judge(trace, number, position, text) {
  const typed = readNumber(text), array = trace.arrays[number];
  if (typed === null) return "unreadable";
  if (!isNear(typed, array, position)) {
    predict.counts.wrong++;
    return "not yet";
  }
  predict.counts.right++;
  predict.right.add(`${number}/${position}`);
  if (askedPositions(array).every(asked => predict.right.has(`${number}/${asked}`))) predict.opened.add(signature(array));
  return "right";
}

// Shows what the present line asks for. Only the numbers that were not yet right count as shown.
function showAnswers(trace, stop) {
  const asked = asksFor(trace, stop);
  for (const number of asked) {
    const open = askedPositions(trace.arrays[number]).filter(position => !predict.right.has(`${number}/${position}`));
    predict.counts.shown += open.length;
    predict.opened.add(signature(trace.arrays[number]));
  }
  return asked.length > 0;
}

function scoreText() {
  const { right, wrong, shown } = predict.counts;
  return `Predicted: ${right} right, ${wrong} not yet, ${shown} shown.`;
}

// A field for one number. What comes of it is said beside it, in words and not by colour alone.
function answerField(trace, number, position, name, done) {
  const verdict = element("span", { class: "verdict", role: "status" });
  const field = element("input", {
    type: "text", class: "answer", size: 8, autocomplete: "off", spellcheck: "false", inputmode: "text",
    "aria-label": `Your number for ${name}`, "data-array": number, "data-position": position,
  });
  field.addEventListener("keydown", event => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const said = judge(trace, number, position, field.value);
    const bad = said !== "right";
    field.setAttribute("aria-invalid", bad);
    verdict.textContent = { right: "✓ right", "not yet": "✗ not yet", unreadable: "? not a number" }[said];
    done(said);
  });
  return element("span", { class: "question" }, field, verdict);
}
