// From a number to the layer that made it: the factors of a product can be followed, one after the other, to the loss
// or to the input. The panel shows the way so far.
"use strict";

let trail = []; // [{ at, product, flat, name }]: the numbers that were followed to the one in the panel, that one included

// The moment in which an array was made that the layer of `moment` reads: by the layer above in backward, by the layer
// below in forward. null for weights and for the diff with which the loss begins.
function factorMaker(trace, moment, { blob, of }) {
  const role = of === "diff" ? "bottom" : "top", pass = of === "diff" ? "backward" : "forward";
  for (let i = moment.number - 1; i >= 0; i--) {
    const made = trace.moments[i];
    if (made.iteration !== moment.iteration) return null;
    if (made.pass === pass && made.values.some(value => value.blob === blob && value.role === role && value[of] !== null)) {
      return made;
    }
  }
  return null;
}

// The name of a factor: a button where the page knows which layer made it.
function factorNode(trace, side, flat) {
  const name = factor(side, flat), maker = side && side.blob !== undefined ? factorMaker(trace, stop().moment, side) : null;
  if (!maker || flat === null || predict.on) return name; // it could show a number that is to be predicted
  const layer = trace.layers[maker.layer].name;
  const button = element("button", { type: "button", class: "number", title: `Where it comes from: ${layer}, ${maker.pass}` }, name);
  button.addEventListener("click", event => { event.stopPropagation(); follow(trace, maker, side, flat); });
  return button;
}

// Goes to the end of the pass of the layer that made a number, and shows the products of the number there.
function follow(trace, maker, { blob, of }, flat) {
  const role = of === "diff" ? "bottom" : "top";
  const product = maker.products.find(one => one.blob === blob && one.role === role && one.of === of);
  go(maker.end);
  openPanel(trace, product || { blob, of, role }, flat, null);
  const value = byId("layer-view").querySelector(`.value[data-blob="${blob}"][data-role="${role}"]`);
  if (value) value.scrollIntoView({ block: "nearest" });
}

function numberName(trace, product, flat) {
  const blob = trace.blobs[product.blob];
  return `${blob.name} ${product.of}${place(blob.shape, Number(flat))}`;
}

// The way to the number in the panel. A click on an earlier number goes back to it.
function trailView(trace) {
  if (trail.length < 2) return null;
  return element("div", { class: "trail", role: "group", "aria-label": "The way to this number" }, trail.map((point, i) => {
    const text = `${i ? "← " : ""}${trace.layers[stops[point.at].moment.layer].name}: ${point.name}`;
    if (i === trail.length - 1) return element("span", { "aria-current": "step" }, text);
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", event => {
      event.stopPropagation();
      trail = trail.slice(0, i);
      go(point.at);
      openPanel(trace, point.product, point.flat, null);
    });
    return button;
  }));
}

// What the central difference of the whole net says about the number in the panel.
function stageProof(trace, product, flat) {
  const entry = product.entries && product.entries[flat];
  const proof = stop().moment.proofs.find(one => one.blob === product.blob && one.role === product.role);
  if (!entry || product.of !== "diff" || !proof) return null;
  const shown = trace.arrays[product.array].whole === false ? trace.places[count(trace.arrays[product.array].shape)] : null;
  const position = shown ? shown.indexOf(Number(flat)) : Number(flat);
  const found = position < 0 ? entry.proof : [proof.verdicts[position], proof.slopes[position]];
  if (!found || found[1] === null) return null;
  const said = { a: "agrees ✓", d: "differs ✗", k: "lies at a kink" }[found[0]];
  return element("p", { class: { a: "agrees", d: "differs", k: "quiet" }[found[0]] },
    `The central difference of the loss for this number, ${short(found[1], 7)}, ${said}`);
}

// What the panel says of a number whose products the page does not hold.
function unknownView(trace, product) {
  const { moment } = stop(), layer = trace.layers[moment.layer];
  if (!layer.bottoms.length) return element("p", {}, `${layer.name} brings the data in: here the way ends.`);
  return element("p", {}, `${layer.name} has computed this number by the formula on the left. `, product.entries
    ? "To stay small, the page holds the products of some numbers only: those that are underlined on the left."
    : `The page lists no products for layers of type ${layer.type}.`);
}

// A button above a param's diff: the number from which one can go all the way to the loss.
function followNode(trace, subject) {
  const { product } = subject, flat = product && product.follow;
  if (flat === undefined || predict.on) return null;
  return element("button", { type: "button", class: "follow", "data-product": stop().moment.products.indexOf(product),
    "data-flat": flat }, `Why ${short(product.entries[flat].sum)} at ${place(trace.arrays[subject.number].shape, flat)}?`,
  " Follow it back to the loss");
}
