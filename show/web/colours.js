"use strict";
// Colours, which follow the theme: blue raises, orange lowers, paper is zero.

let colours = {};
let shades = {};            // of greys 0 ... 255, and of -255 ... 255 out of 255

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "blue", "orange"]) {
    const hex = style.getPropertyValue("--" + name).trim();
    colours[name] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }
  shades = {grey: shadesFrom(0, (x) => mixed("ink", x)),
            signed: shadesFrom(-255, towards)};
}

// The colours of least / 255 ... 1, each as a canvas has it in memory.
function shadesFrom(least, colour) {
  const numbers = Array.from({length: 256 - least}, (_, k) => (least + k) / 255);
  const content = new Uint8ClampedArray(numbers.flatMap((x) => [...colour(x), 255]));
  return new Uint32Array(content.buffer);
}

// Paper at 0, the named colour at 1, mixed in between.
function mixed(name, share) {
  const part = Math.min(1, Math.max(0, share));
  return colours.paper.map((from, k) => from + (colours[name][k] - from) * part);
}

const towards = (value) => mixed(value < 0 ? "orange" : "blue", Math.abs(value));
const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

// The shade of a number; beyond 1 and -1 there is none stronger.
const shadeOf = (x) =>
  shades.signed[255 + Math.round(255 * Math.min(1, Math.max(-1, x)))];

// 784 numbers as a picture, each turned into a shade.
function paintTile(canvas, values, shade) {
  if (canvas.width !== SIDE) { canvas.width = canvas.height = SIDE; }
  const context = canvas.getContext("2d");
  const tile = context.createImageData(SIDE, SIDE);
  const pixels = new Uint32Array(tile.data.buffer);
  values.forEach((value, k) => { pixels[k] = shade(value); });
  context.putImageData(tile, 0, 0);
}

const paintGrey = (canvas, picture) =>
  paintTile(canvas, picture, (grey) => shades.grey[grey]);

// Weights, on a scale that all but the few strongest keep to.
function paintWeights(canvas, weights) {
  const sizes = Array.from(weights, Math.abs).sort((a, b) => a - b);
  const strong = sizes[Math.floor(0.98 * sizes.length)] || 1;
  paintTile(canvas, weights, (weight) => shadeOf(weight / strong));
}

// Parts of a sum, mostly small: square roots keep those visible.
function paintParts(canvas, parts) {
  const most = Math.max(...parts.map(Math.abs)) || 1;
  paintTile(canvas, parts, (part) =>
    shadeOf(Math.sign(part) * Math.sqrt(Math.abs(part) / most)));
}
