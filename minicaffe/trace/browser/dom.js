// Small tools for all other files: build elements, and write numbers and places as text.
"use strict";

// Returns a new element. Text goes in as text, never as HTML, so no name of a user's net can become markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter(child => child !== null && child !== undefined));
  return made;
}

// The same for a part of an <svg>.
function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

// JSON has no NaN and no infinities: the data holds them as words, which Number() reads.
function numeric(stored) {
  return Number(stored);
}

// A number with all its digits. JavaScript itself writes -0 as 0.
function exactText(stored) {
  return Object.is(stored, -0) ? "-0" : String(stored);
}

// A number as short text: five digits are enough to follow a computation by hand.
function short(stored, digits = 5) {
  if (stored === null || stored === undefined) return "–";
  if (typeof stored === "boolean") return stored ? "true" : "false";
  const number = numeric(stored);
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "inf" : "-inf";
  if (Number.isInteger(number) && Math.abs(number) < 1e7) return Object.is(number, -0) ? "-0" : String(number);
  const [mantissa, exponent] = number.toPrecision(digits).split("e");
  const plain = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  if (exponent) return `${plain}e${Number(exponent)}`;
  return Math.abs(number) < 1e-4 ? number.toExponential(digits - 2).replace(/\.?0+e/, "e") : plain;
}

// A name for a sentence: letters that turn the direction of writing would turn the sentence too, and a name of hundreds of
// letters would push it off the page.
function readableName(name) {
  const plain = name.replace(/[\u0000-\u001f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  return plain.length > 60 ? `${plain.slice(0, 36)} … ${plain.slice(-20)}` : plain;
}

function count(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

// The indices of the number that is at `flat` in C order.
function indices(shape, flat) {
  const found = [];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    found.unshift(flat % shape[axis]);
    flat = Math.floor(flat / shape[axis]);
  }
  return found;
}

function place(shape, flat) {
  return shape.length ? `[${indices(shape, flat).join(", ")}]` : "";
}

function shapeText(shape) {
  return shape.length ? shape.join(" × ") : "a single number";
}

function plural(number, word, words = `${word}s`) {
  return `${number} ${number === 1 ? word : words}`;
}
