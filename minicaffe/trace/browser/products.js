// The panel that shows which products a number is the sum of.
"use strict";

// Opens the panel for a number. A click or a key on it begins a new way.
function openProducts(trace, product, flat, button, byKey) {
  trail = [];
  byId("products").classList.toggle("left", Boolean(button.closest("#right"))); // it must not cover the number itself
  openPanel(trace, product, flat, byKey ? button : null);
}

// Shows the products of a number, and the way to it. Of some numbers the page only knows who made them.
function openPanel(trace, product, flat, opener) {
  const panel = byId("products"), entry = product.entries && product.entries[flat];
  const name = numberName(trace, product, flat);
  trail.push({ at, product, flat, name });
  const close = element("button", { type: "button", class: "close" }, "Close ", element("kbd", {}, "Esc"));
  close.addEventListener("click", closeProducts);
  panel.replaceChildren(...[
    element("div", { class: "panel-head" },
      element("h2", { id: "products-title" }, productsTitle(trace, product, flat, name, entry)), close),
    trailView(trace),
    ...(!entry ? [unknownView(trace, product)] : entry.chosen === undefined ? sumView(trace, product, entry)
      : windowView(trace, product, entry)),
    stageProof(trace, product, flat),
  ].filter(Boolean));
  panel.hidden = false;
  panel.opener = opener;
  makeRoom(panel);
  panel.focus();
}

// What the panel covers can be scrolled up from under it; the line that runs is.
function makeRoom(panel) {
  const covered = panel.classList.contains("left") ? "left" : "right";
  for (const side of ["left", "right"]) {
    const room = side === covered && !panel.hidden ? `${panel.offsetHeight + 24}px` : "";
    byId(side).style.paddingBottom = byId(side).style.scrollPaddingBottom = room;
  }
  if (!panel.hidden) scrollToRunning();
}

function productsTitle(trace, product, flat, name, entry) {
  if (!entry) return `${name}: made by ${trace.layers[stop().moment.layer].name}, ${stop().moment.pass}`;
  const array = trace.arrays[product.array];
  const position = array.whole === false ? trace.places[count(array.shape)].indexOf(Number(flat)) : Number(flat);
  const what = entry.chosen === undefined ? "is the sum of these products" : "is the largest number of this window";
  return `${name} = ${short(position < 0 ? entry.sum : array.values[position], 7)} ${what}`;
}

// Closes the panel. Who opened it by the keyboard goes on at the number; after a click the arrow keys step again.
function closeProducts() {
  const panel = byId("products"), opener = panel.opener;
  if (panel.hidden) return false;
  hideProducts();
  (opener && opener.isConnected ? opener : byId("main")).focus({ preventScroll: true });
  return true;
}

function hideProducts() {
  byId("products").hidden = true;
  makeRoom(byId("products"));
}

function factor(side, flat) {
  return flat === null || !side ? "" : `${side.name}${place(side.shape, flat)}`;
}

function sumView(trace, product, entry) {
  const { left, right } = product, [others, otherSum] = entry.rest || [0, 0];
  const head = ["place", left.name, ...(right ? ["place", right.name] : ["factor"]), "product"];
  const wide = head.length - 1;
  const terms = entry.terms.map(([leftPlace, leftValue, rightPlace, rightValue]) => element("tr", {},
    element("th", { scope: "row" }, factorNode(trace, left, leftPlace) || "a constant"), valueCell(leftValue),
    right ? element("td", { class: "place" }, factorNode(trace, right, rightPlace) || "a constant") : null, valueCell(rightValue),
    valueCell(numeric(leftValue) * numeric(rightValue))));
  const rest = others ? [sumRow(`${plural(others, "further product")}, together`, otherSum, wide)] : [];
  const plus = (entry.plus || []).map(([words, value]) => sumRow(`plus ${words}`, value, wide));
  const ways = terms.some(row => row.querySelector("button")) ? "An underlined place leads to the layer that made the number. " : "";
  if (!terms.length && !plus.length && !others) return [element("p", {}, "No product reaches this number, so it is 0.")];
  return [
    element("p", { class: "quiet" }, `Each line multiplies two numbers. The last column, added up, gives the number. ${ways}${product.note || ""}`),
    element("div", { class: "scrolls", tabindex: 0, role: "group", "aria-label": "The products" },
      element("table", { class: "terms" },
        element("thead", {}, element("tr", {}, head.map(word => header("col", word)))),
        element("tbody", {}, terms, rest, plus),
        element("tfoot", {}, sumRow("the sum", entry.sum, wide)))),
  ];
}

function sumRow(words, value, wide) {
  return element("tr", {}, element("th", { scope: "row", colspan: wide }, words), valueCell(value));
}

function valueCell(value) {
  return element("td", { title: String(value) }, short(value, 7));
}

// MAX pooling adds nothing up: it takes one number of a window.
function windowView(trace, product, entry) {
  const rows = entry.terms.map(([flat, value], number) => element("tr", { class: number === entry.chosen ? "chosen" : null },
    element("th", { scope: "row" }, factorNode(trace, product.left, flat)), valueCell(value), element("td", {}, number === entry.chosen ? "◀ taken" : "")));
  return [element("div", { class: "scrolls", tabindex: 0, role: "group", "aria-label": "The window" },
    element("table", { class: "terms" },
      element("thead", {}, element("tr", {}, ["place", product.left.name, "choice"].map(word => header("col", word)))),
      element("tbody", {}, rows)))];
}
