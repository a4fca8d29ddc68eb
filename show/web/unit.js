"use strict";
// One unit of the first layer: picture x weights = products, their sum, its activation.
// Without a hidden layer the units of the first layer are the outputs themselves.

const weightsOf = new Map();    // number of a unit -> {weights, bias}
let shown = null;               // {layer, unit} or null

// What is looked at, else the unit that decided most, else none.  Where the deciding
// units are those of a later layer, which see no pixels, the most active of the first.
function unitToShow() {
  for (const what of [pointed, pinned]) {
    if (what && what.unit !== undefined) { return what; }
    if (what && !grids.length) { return {layer: 0, unit: what.digit}; }
  }
  const now = current();
  if (!now) { return null; }
  if (!grids.length) { return {layer: 0, unit: best(now)}; }
  return last() ? {layer: 0, unit: ranking(now.hidden[0].map(Math.abs))[0]} : decisive;
}

function showUnit() {
  shown = unitToShow();
  const first = shown && shown.layer === 0;
  const hasWeights = first && weightsOf.has(shown.unit);
  $("unit-title").textContent = `${!shown ? "One unit" : grids.length
    ? `Unit ${shown.unit}${ofLayer(shown.layer)}`
    : `The output ${about.class_names[shown.unit]}`} at work`;
  for (const id of ["product", "chain"]) {
    $(id).classList.toggle("blank", !hasWeights);
    $(id).hidden = Boolean(shown && shown.layer);
  }
  $("switch").classList.toggle("blank", !shown);
  $("switch").hidden = !grids.length;
  $("switch").textContent = shown && off.has(key(shown)) ? "Switch this unit on"
    : "Switch this unit off";
  $("unit-text").textContent = unitText(current(), shown);
  if (hasWeights) { showProduct(current(), weightsOf.get(shown.unit)); }
  if (first && !hasWeights) { askUnit(); }
}

const askUnit = latest(async () => {
  const what = shown;
  if (!what || what.layer || weightsOf.has(what.unit)) { return; }
  weightsOf.set(what.unit, await fetched(`/unit?number=${what.unit}`));
  showUnit();
});

function showProduct(now, {weights, bias}) {
  const image = seen();
  const products = weights.map((weight, k) => weight * image[k] / 255);
  paintGrey($("factor"), image);
  paintWeights($("weights"), weights);
  paintParts($("products"), products);
  const [up, down] = [products.filter((x) => x > 0), products.filter((x) => x < 0)];
  $("chain").replaceChildren();
  link(signed(sum(up)), "blue products", "blue");
  link(fixed(sum(down)), "orange products", "orange");
  link(signed(bias), "bias");
  if (!now) { return; }
  const z = now.sums[shown.unit];
  link(fixed(z), grids.length ? "= sum" : "= sum: its logit");
  if (grids.length) {
    link("→", about.activation);
    link(fixed(now.hidden[0][shown.unit]), "activation");
  }
}

// A number, and below it what it is.
function link(number, what, colour = "") {
  const span = make("span", $("chain"), {className: colour});
  make("b", span, {textContent: number});
  make("small", span, {textContent: what});
}

function unitText(now, what) {
  if (!what) { return "Point at a unit to see its weights; click to keep it."; }
  if (!grids.length) { return `Point at a ${thing()} to see its weights.`; }
  if (!now) { return ""; }
  const a = now.hidden[what.layer][what.unit];
  const where = what.layer ? "Its weights belong to the units of the layer before it, "
    + `not to pixels. Its activation is ${fixed(a)}. ` : "";
  if (off.has(key(what))) { return where + "It is switched off: activation 0."; }
  if (!a && about.activation === "relu") {
    return `${where}Its sum is not above 0, so relu makes it 0: this unit is silent.`;
  }
  return where + (what.layer === last() ? captionOf(now, what) : "");
}

// Switch units on or off, each the other way.
function switchUnits(keys) {
  for (const unit of keys) {
    if (!off.delete(unit)) { off.add(unit); }
  }
  ask();
  showUnits();
}

$("switch").onclick = () => {
  if (!same(pinned, shown)) { pin(shown); }
  switchUnits([key(shown)]);
};
