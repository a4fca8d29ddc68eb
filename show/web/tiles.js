"use strict";
// The weights of the first layer: a picture of 28 x 28 for each unit.

const tilesOf = new Map();  // key of a moment -> its weights, d x h numbers
const weightsCanvas = $("weights");
const UNIT = 128;           // weights are whole multiples of 1/128
const GAP = 2;              // pixels between tiles

const askTiles = latest(async () => {
  const moment = shownMoment();
  if (!moment || tilesOf.has(moment.key)) { return; }
  const {weights} = await fetched(`/tiles?moment=${moment.key}`);
  const content = bytes(weights).buffer;
  tilesOf.set(moment.key, new Int16Array(content));
  for (const key of tilesOf.keys()) {     // of those that were not kept
    if (!moments.some((kept) => kept.key === key)) { tilesOf.delete(key); }
  }
  showTiles();
});

function showTiles() {
  const moment = shownMoment(), units = about.sizes[1];
  const what = about.sizes.length > 2 ? "hidden unit" : "output";
  $("tiles-title").textContent = `Weights of the ${counted(units, what)}`;
  const weights = tilesOf.get(moment.key);
  if (!weights) { askTiles(); return; }
  const full = strongest(weights);
  paintTiles(weights, units, full);
  $("tiles-text").textContent = `${moment.name}: each square is one ${what}, each of `
    + `its 784 pixels one weight; full colour from ${fixed(full / UNIT)} on.`;
}

// What only one weight in a hundred exceeds, found by counting each size.
function strongest(weights) {
  const counts = new Uint32Array((1 << 15) + 1);
  for (const weight of weights) { counts[Math.abs(weight)] += 1; }
  let size = counts.length, above = 0;
  while (size > 1 && above < weights.length / 100) { above += counts[--size]; }
  return size;
}

// All tiles on one canvas, two pixels apart.
function paintTiles(weights, units, full) {
  const columns = Math.ceil(Math.sqrt(units));
  const rows = Math.ceil(units / columns), step = SIDE + GAP;
  weightsCanvas.width = columns * step - GAP;
  weightsCanvas.height = rows * step - GAP;
  const context = weightsCanvas.getContext("2d");
  const image = context.createImageData(weightsCanvas.width, weightsCanvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let unit = 0; unit < units; unit++) {
    const start = Math.floor(unit / columns) * step * image.width
      + (unit % columns) * step;
    for (let k = 0; k < SIDE * SIDE; k++) {
      pixels[start + Math.floor(k / SIDE) * image.width + k % SIDE]
        = shadeOf(weights[k * units + unit] / full);
    }
  }
  context.putImageData(image, 0, 0);
  weightsCanvas.setAttribute("aria-label", `Weights of ${counted(units, "unit")} at: `
    + shownMoment().name);
}
