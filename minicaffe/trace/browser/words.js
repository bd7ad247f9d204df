// What happens at a stop, in words: for a screen reader, and for everybody above the two sides.
"use strict";

const PROOF_WORDS = "A diff says how fast the loss grows when that one number grows. To prove it, the whole net was run " +
  "twice more for each number: once with the number a little larger, and once a little smaller. The difference of the two " +
  "losses, divided by the distance of the two numbers, is the central difference. At a kink the slopes to the left and to " +
  "the right differ.";
const BLAME = "✗ This layer's backward is wrong: the diffs of its tops agree, those that it computes from them do not.";
const WORDS_OF_NUMBERS = 6; // a sentence names arrays of up to so many numbers in full

const LESSON = {
  forward: "makes a guess (forward)",
  backward: "finds out how much each of its numbers is to blame for the error (backward)",
  update: "changes its weights a little (update)",
};

// The page's first two sentences. They name only the passes that the trace holds.
function introView(trace) {
  const parts = PASSES.filter(pass => trace.moments.some(moment => moment.pass === pass)).map(pass => LESSON[pass]);
  const last = parts.pop(), lesson = parts.length ? `${parts.join(", ")}${parts.length > 1 ? "," : ""} and ${last}` : last;
  return [`Here a net takes one small lesson: it ${lesson}. Press `, element("kbd", {}, "→"),
    " to run the next line of its code, and watch the numbers that the line makes."];
}

function describe(trace, stop) {
  const { moment } = stop;
  if (!moment) return "The start: nothing has run yet. Press → or the button Next to run the first line.";
  const iterations = trace.moments[trace.moments.length - 1].iteration + 1;
  const layer = trace.layers[moment.layer];
  const who = moment.pass === "update" ? `${trace.solver.type}, update of ${trace.blobs[moment.param].name}`
    : `${layer.type} ${layer.name}, ${moment.pass}`;
  const parts = iterations > 1 ? [`Iteration ${moment.iteration + 1} of ${iterations}.`] : [];
  parts.push(stop.step === null ? `${who}: ${moment.note || "no line of its own code runs."}` : `${who}, ${stepWords(trace, stop)}`);
  if (stop.last) parts.push(...endWords(trace, stop));
  return parts.join(" ");
}

function stepWords(trace, stop) {
  const step = trace.steps[stop.step], source = trace.sources[step.source];
  const text = (source.lines[step.line - source.first] || "").trim();
  if (step.line === source.first) return `line ${step.line}: ${source.name} begins${given(trace, stop, step)}.`;
  if (step.skipped) return `line ${step.line}: ${plural(step.skipped, "further round")} of this loop ran and is not shown.`;
  if (step.calls) return `line ${step.line} calls a function: ${withoutComment(text)}.`;
  const branch = branchWords(trace, stop);
  const read = readBy(trace, stop).filter(({ number }) => number !== null).map(({ name }) => name);
  const from = read.length ? `, made from ${read.join(", ")}` : "";
  const ask = step.new.some(([, number]) => number !== null && isHidden(trace, stop, number)) ? ": type it" : "";
  if (step.new.length) return `line ${step.line}: ${made(trace, stop, step)}${from}${ask}.`;
  return `line ${step.line}: ${withoutComment(text)}${branch ? ` ${branch}` : "."}`;
}

// How an `if` or a loop went on: the next line of the same function stands under it, or not.
function branchWords(trace, stop) {
  const step = trace.steps[stop.step], source = trace.sources[step.source];
  const text = source.lines[step.line - source.first] || "";
  if (!/^\s*(if|elif|while)\b.*:\s*(#.*)?$/.test(text)) return null;
  const following = trace.steps.slice(stop.step + 1, stop.moment.first + stop.moment.count);
  const next = following.find(other => other.depth <= step.depth);
  const indent = line => line.search(/\S|$/);
  const between = next && next.source === step.source && next.line > step.line
    ? source.lines.slice(step.line + 1 - source.first, next.line + 1 - source.first).filter(line => line.trim()) : [];
  const inside = between.length > 0 && between.every(line => indent(line) > indent(text));
  return inside ? "that is so, and the lines below it run." : "that is not so, and the lines below it are left out.";
}

function sentence(words) {
  return words[0].toUpperCase() + words.slice(1);
}

function given(trace, stop, step) {
  return step.new.length ? ` with ${step.new.map(([name]) => name).join(", ")}` : "";
}

function withoutComment(text) {
  return text.replace(/\s{2}#.*$/, "");
}

function made(trace, stop, step) {
  return sameArrays(step.new).map(([names, number, text]) => {
    const name = names[0];
    if (number === null) return `${name} = ${text}`;
    if (isHidden(trace, stop, number)) return `${name} is hidden`;
    const array = trace.arrays[number];
    if (array.values.length === 1) return `${name} = ${short(array.values[0])}`;
    if (array.whole !== false && array.values.length <= WORDS_OF_NUMBERS) return `${name} = ${nested(array)}`;
    return `${name} is ${shapeText(array.shape)}`;
  }).join("; ");
}

// What the end of a layer's pass brings beside its lines: the loss, and the proof's verdict.
function endWords(trace, stop) {
  const { moment } = stop, said = [];
  const hidden = moment.values.some(value => writes(moment, value, "data") && isHidden(trace, stop, value.data));
  if (moment.loss !== undefined && !hidden) said.push(`The layer adds ${short(moment.loss)} to the loss.`);
  const wrong = moment.proofs.reduce((sum, proof) => sum + letters(proof, "d"), 0);
  if (moment.verdict === "differs") said.push(BLAME);
  else if (wrong) said.push(`✗ ${plural(wrong, "diff")} here ${wrong === 1 ? "differs" : "differ"} from the central difference.`);
  return said;
}

function letters(proof, letter) {
  return proof.verdicts.split(letter).length - 1;
}

// What all proofs of the page say together: { total, differ, kinks, first }. A diff that two layers show counts once.
function proofSummary(trace) {
  const seen = new Set(), sum = { total: 0, differ: 0, kinks: 0, first: null };
  for (const moment of trace.moments) {
    for (const proof of moment.proofs) {
      if (!sum.first && proof.verdicts.includes("d")) sum.first = moment;
      const key = `${moment.iteration}/${proof.blob}/${proof.array}`;
      if (seen.has(key)) continue;
      seen.add(key);
      sum.total += proof.verdicts.length - letters(proof, "-");
      sum.differ += letters(proof, "d");
      sum.kinks += letters(proof, "k");
    }
  }
  sum.first = trace.moments.find(moment => moment.verdict === "differs") || sum.first;
  return sum;
}

// The summary as one line with a button that goes to the first layer that is wrong.
function proofLine(trace, showWrong) {
  const { total, differ, kinks, first } = proofSummary(trace);
  if (!total) return [element("p", { class: "quiet" }, "This trace was made without proofs of its diffs.")];
  const kink = kinks ? `; ${plural(kinks, "is", "are")} at a kink` : "";
  if (!differ) {
    return [element("p", { class: "agrees" }, `✓ None of ${total} diffs is wrong${kink}.`),
      toleranceView(trace)];
  }
  const layer = trace.layers[first.layer];
  const said = `✗ ${differ} of ${total} diffs ${differ === 1 ? "differs" : "differ"}, first in layer ${layer.name}`;
  const button = element("button", { type: "button", id: "to-wrong", class: "wrong" }, said);
  button.addEventListener("click", () => showWrong(first));
  return [button, toleranceView(trace)];
}

function toleranceView(trace) {
  return element("details", {}, element("summary", {}, "What is compared?"), element("p", {}, PROOF_WORDS, " ", trace.tolerance));
}
