// Puts the page together: where we are in the walk, what is drawn for it, buttons and keys.
"use strict";

const PAUSE = 1200; // milliseconds between two steps when the page plays by itself
const trace = JSON.parse(byId("data").textContent);
const stops = makeStops(trace);
let at = 0, timer = null, addressLater = null, leftShown = null, leftSubject = null, rightShown = null, datasheetOpen = false;

function stop() {
  return stops[at];
}

// Goes to a stop. null means that there is nothing to go to, and changes nothing.
function go(index) {
  if (index === null || index === undefined) return;
  const wanted = Math.max(0, Math.min(stops.length - 1, index));
  if (wanted !== at) hideProducts();
  at = wanted;
  show();
}

// --- drawing -----------------------------------------------------------------------------------------------

function show() {
  const focused = document.activeElement, id = focused && focused.id, inside = focused && focused.closest(".pane");
  showPosition();
  lightDrawing();
  showLeft();
  showRight();
  byId("words").textContent = describe(trace, stop());
  byId("loss").replaceChildren(...lossView(trace, stop()));
  byId("score").textContent = scoreText();
  byId("score").hidden = !predict.on;
  const lost = focused && !focused.isConnected && document.activeElement === document.body;
  const field = lost && focused.matches(".answer"); // the arrow keys must go on stepping after an answer
  if (lost) (id && byId(id) || !field && inside || byId("main")).focus({ preventScroll: true });
  scrollToRunning();
}

function showPosition() {
  const { moment } = stop();
  byId("main").classList.toggle("at-start", at === 0);
  byId("intro").hidden = at > 0; // it has said what it has to say, and its place is needed
  byId("position").value = at;
  byId("position-words").textContent = `Step ${at} of ${stops.length - 1}`;
  byId("position").setAttribute("aria-valuetext", byId("position-words").textContent);
  byId("layer").value = moment ? moment.layer : "";
  for (const pass of PASSES) byId(pass).setAttribute("aria-pressed", Boolean(moment) && moment.pass === pass);
  byId("back").disabled = byId("to-start").disabled = at === 0;
  byId("next").disabled = at === stops.length - 1;
  clearTimeout(addressLater);
  addressLater = setTimeout(showAddress, 100);
}

// The address names the step, so that it can be linked to. It is replaced, for the browser's way back should leave the
// page and not undo a hundred steps; and only when the steps have come to rest, for browsers allow it a few times a second.
function showAddress() {
  clearTimeout(addressLater);
  addressLater = null;
  history.replaceState(null, "", at ? `#step=${at}` : location.pathname + location.search);
}

function lightDrawing() {
  const { moment } = stop();
  for (const group of byId("drawing").querySelectorAll(".layer.lit")) group.classList.remove("lit");
  if (!moment) return;
  // where the drawing folds blocks that repeat, one box stands for several layers
  const group = byId("drawing").querySelector(`[data-layer="${moment.layer}"], [data-layers~="${moment.layer}"]`);
  if (!group) return;
  group.classList.add("lit");
  const box = byId("drawing").getBoundingClientRect(), own = group.getBoundingClientRect();
  byId("drawing").scrollBy({
    top: own.top + own.height / 2 - box.top - box.height / 2,
    left: own.left + own.width / 2 - box.left - box.width / 2,
  });
}

// The left side is made anew only when something in it changes, so that its boxes stay where they were scrolled to.
function showLeft() {
  const key = leftKey(), { moment } = stop();
  if (key !== leftShown) byId("layer-view").replaceChildren(...leftView());
  leftShown = key;
  const subject = moment && `${moment.pass} ${moment.layer}`;
  if (subject !== leftSubject) byId("left").scrollTop = 0; // the same layer in another iteration stays where it was scrolled to
  leftSubject = subject;
  markFormula();
  const marked = moment && markArrays(trace, stop(), byId("layer-view"));
  if (marked && byId("left").scrollHeight > byId("left").clientHeight) marked.scrollIntoView({ block: "nearest" });
  oneTabStop(byId("layer-view"));
}

function leftKey() {
  const { moment } = stop();
  if (!moment) return "start";
  const there = momentArrays(moment).map(number => isWritten(trace, stop(), number));
  return JSON.stringify([moment.number, there, predict.on, predict.opened.size, predict.right.size,
    [...chosenWeight], stop().last]);
}

function leftView() {
  const { moment } = stop();
  if (!moment) {
    return [element("h3", {}, trace.net), ...trace.notes.map(note => element("p", {}, note)),
      element("p", { class: "quiet" }, `${plural(trace.layers.length, "layer")}, phase ${trace.phase}` +
        `${trace.solver ? `, solver ${trace.solver.type}` : ""}; ${plural(stops.length - 1, "step")}.`)];
  }
  const layer = trace.layers[moment.layer];
  const title = moment.pass === "update" ? `${trace.solver.type}: update of ${trace.blobs[moment.param].name}`
    : `${layer.name}: ${layer.type}, ${moment.pass}`;
  return [element("div", { class: "layer-head" }, element("h3", { class: "layer-title" }, title),
    element("ol", { class: "formulas", "aria-label": "Formulas" },
      formulas().map(text => element("li", {}, element("code", {}, text))))),
    moment.note ? element("p", { class: "note" }, moment.note) : null,
    moment.verdict === "differs" ? element("p", { class: "note wrong" }, BLAME) : null,
    moment.pass === "update" ? null : datasheetView(layer.type),
    ...(moment.update ? updateView(trace, stop(), go, redraw) : inOrder(moment).map(value => valueView(trace, stop(), value))),
  ].filter(Boolean);
}

// The whole datasheet, folded away: what the letters mean, and what the other pass computes. It stays open from layer
// to layer.
function datasheetView(type) {
  const text = trace.datasheets && trace.datasheets[type];
  if (!text) return null;
  const fold = element("details", { class: "datasheet", open: datasheetOpen },
    element("summary", {}, "What do the letters mean?"), element("pre", {}, text));
  fold.addEventListener("toggle", () => { datasheetOpen = fold.open; });
  return fold;
}

function formulas() {
  const { moment } = stop();
  return moment.pass === "update" ? trace.solver.formulas : trace.layers[moment.layer].formulas[moment.pass];
}

// What goes in stands first: the bottoms in forward, the tops in backward.
function inOrder(moment) {
  const order = moment.pass === "forward" ? ["bottom", "param", "top"] : ["top", "bottom", "param"];
  return [...moment.values].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
}

function markFormula() {
  const { step } = stop(), lit = step === null ? null : trace.steps[step].formula;
  byId("layer-view").querySelectorAll(".formulas li").forEach((item, number) => {
    if (number === lit) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

function showRight() {
  const key = JSON.stringify([at, predict.on, predict.opened.size, predict.right.size]);
  if (key === rightShown) return;
  rightShown = key;
  byId("source-view").replaceChildren(...sourceView(trace, stop(), redraw));
  oneTabStop(byId("source-view"));
  const field = byId("source-view").querySelector(".answer");
  if (predict.on && field) field.focus({ preventScroll: true });
}

// After an answer. What is not yet right stays as it was typed; anything else is drawn anew.
function redraw(said) {
  if (said === "not yet" || said === "unreadable") {
    byId("score").textContent = scoreText();
    return;
  }
  show();
  const field = byId("source-view").querySelector(".answer");
  if (said) (field || byId("main")).focus({ preventScroll: true });
}

function scrollToRunning() {
  const line = byId("source-view").querySelector(".line.now");
  if (!line) return;
  const made = line.nextElementSibling;
  if (made && made.classList.contains("made")) made.scrollIntoView({ block: "nearest" });
  line.scrollIntoView({ block: "nearest" });
}

// --- play --------------------------------------------------------------------------------------------------

function play() {
  if (timer) return pause();
  if (at === stops.length - 1) go(0);
  timer = setInterval(() => {
    go(at + 1);
    if (at === stops.length - 1 || asksFor(trace, stop()).length) pause();
  }, PAUSE);
  byId("words").setAttribute("aria-live", "off"); // a new sentence every second would never be read to its end
  showPlaying(true);
}

function pause() {
  if (!timer) return;
  clearInterval(timer);
  timer = null;
  byId("words").setAttribute("aria-live", "polite");
  showPlaying(false);
}

function showPlaying(on) {
  byId("play").setAttribute("aria-pressed", on);
  byId("play").textContent = on ? "⏸ Pause" : "▶ Play";
}

// --- buttons -----------------------------------------------------------------------------------------------

const actions = {
  next: () => go(at + 1),
  back: () => go(at - 1),
  "to-start": () => go(0),
  "to-end": () => go(stops.length - 1),
  forward: () => go(startOfPass(trace, stop(), "forward")),
  backward: () => go(startOfPass(trace, stop(), "backward")),
  update: () => go(startOfPass(trace, stop(), "update")),
  "layer-next": () => go(nextLayer(trace, stop())),
  "layer-back": () => go(previousLayer(trace, stop())),
  "layer-end": () => stop().moment && go(stop().moment.end),
  "iteration-next": () => stop().moment && go(sameIn(trace, stop(), stop().moment.iteration + 1)),
  "iteration-back": () => stop().moment && go(sameIn(trace, stop(), stop().moment.iteration - 1)),
  play,
  help: () => byId("keys").showModal(),
  theme: changeTheme,
  predict: togglePredict,
  reveal: () => predict.on && showAnswers(trace, stop()) && redraw("shown"),
};

function changeTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function togglePredict() {
  predict.on = !predict.on;
  predict.questions = predict.questions || findQuestions(trace, stops);
  byId("predict").setAttribute("aria-pressed", predict.on);
  hideProducts(); // its sum may be the number that is hidden now
  show();
}

function setUp() {
  trace.net = readableName(trace.net);
  for (const named of [...trace.layers, ...trace.blobs]) named.name = readableName(named.name);
  byId("title").textContent = `${trace.net}: watch it learn`;
  byId("intro").append(...introView(trace));
  byId("layer").append(element("option", { value: "" }, "–"),
    ...trace.layers.map((layer, number) => element("option", { value: number }, `${layer.name} (${layer.type})`)));
  byId("position").max = stops.length - 1;
  for (const pass of PASSES) {
    if (!trace.moments.some(moment => moment.pass === pass)) byId(pass).disabled = true;
  }
  for (const [id, action] of Object.entries(actions)) {
    if (byId(id)) byId(id).addEventListener("click", () => { if (id !== "play") pause(); action(); });
  }
  byId("layer").addEventListener("change", event => {
    if (event.target.value !== "") go(startOfLayer(trace, stop(), Number(event.target.value)));
  });
  byId("position").addEventListener("input", event => go(Number(event.target.value)));
  byId("proof-summary").append(...proofLine(trace, showWrong));
  byId("drawing").addEventListener("click", openDrawnLayer);
  document.addEventListener("click", openNumber);
  document.addEventListener("click", followMaker);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", followHash);
  followHash();
}

// Goes to the end of a layer's pass, where its diffs are there, and to the first of them that differs.
function showWrong(moment) {
  go(moment.end);
  const wrong = byId("layer-view").querySelector(".differs");
  if (wrong) wrong.scrollIntoView({ block: "center", inline: "nearest" });
}

function openDrawnLayer(event) {
  const group = event.target.closest(".layer[data-layer]");
  if (group) go(startOfLayer(trace, stop(), Number(group.dataset.layer)));
}

// A click that a key made has detail 0: then the focus comes back to the number when the panel closes.
function openNumber(event) {
  const button = event.target.closest("button[data-product]");
  if (!button) return;
  openProducts(trace, stop().moment.products[button.dataset.product], button.dataset.flat, button, event.detail === 0);
}

// From numbers to the layer that made them. The way that led here stays in the browser's history, for the way back.
function followMaker(event) {
  const button = event.target.closest("button.maker");
  if (!button) return;
  pause();
  showAddress();
  history.pushState(null, "", location.href);
  go(Number(button.dataset.stop));
  showAddress(); // at once, so that the way back has somewhere to go back from
}

// A teacher can link to a step: page.html#step=12.
function followHash() {
  const found = location.hash.match(/^#step=(\d+)$/);
  at = -1;
  go(found ? Number(found[1]) : 0);
}
