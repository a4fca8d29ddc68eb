"use strict";
// Colours, which follow the theme: blue raises, orange lowers, paper is zero.

let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "blue", "orange"]) {
    const hex = style.getPropertyValue("--" + name).trim();
    colours[name] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }
}

// Paper at 0, the named colour at 1, mixed in between.
function mixed(name, share) {
  const part = Math.min(1, Math.max(0, share));
  return colours.paper.map((from, k) => from + (colours[name][k] - from) * part);
}

const towards = (value) => mixed(value < 0 ? "orange" : "blue", Math.abs(value));
const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

// 784 numbers as a picture, each turned into a colour.
function paintTile(canvas, values, colour) {
  if (canvas.width !== SIDE) { canvas.width = canvas.height = SIDE; }
  const context = canvas.getContext("2d");
  const tile = context.createImageData(SIDE, SIDE);
  values.forEach((value, k) => tile.data.set([...colour(value), 255], 4 * k));
  context.putImageData(tile, 0, 0);
}

const paintGrey = (canvas, picture) =>
  paintTile(canvas, picture, (grey) => mixed("ink", grey / 255));

// Weights, on a scale that all but the few strongest keep to.
function paintWeights(canvas, weights) {
  const sizes = Array.from(weights, Math.abs).sort((a, b) => a - b);
  const strong = sizes[Math.floor(0.98 * sizes.length)] || 1;
  paintTile(canvas, weights, (weight) => towards(weight / strong));
}

// Parts of a sum, mostly small: square roots keep those visible.
function paintParts(canvas, parts) {
  const most = Math.max(...parts.map(Math.abs)) || 1;
  paintTile(canvas, parts, (part) =>
    towards(Math.sign(part) * Math.sqrt(Math.abs(part) / most)));
}
