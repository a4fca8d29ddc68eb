"use strict";
// The hidden layers, a square for each unit, and lines from units to the output layer.
//
// A line's width is a V: the unit's activation a times its weight V to the digit, the
// term that it adds to the digit's logit.

let pinned = null;      // what was clicked, {digit} or {layer, unit}: it stays
let pointed = null;     // what the mouse or the focus is on: it goes again
const grids = [];       // of each hidden layer

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const last = () => grids.length - 1;
const key = (what) => `${what.layer}-${what.unit}`;

// " of hidden layer 2", where there are several.
const ofLayer = (layer) => (last() ? ` of hidden layer ${layer + 1}` : "");

// Make an element stand for a digit or a unit that can be looked at.
function points(element, what) {
  const look = (at) => { pointed = at; showPointed(); };
  element.onpointerenter = () => look(what);
  element.onpointerleave = () => look(null);
  element.onfocus = () => { if (element.matches(":focus-visible")) { look(what); } };
  element.onblur = () => look(null);
  element.onclick = () => pin(same(pinned, what) ? null : what);
}

function pin(what) {
  const old = pinned;
  pinned = what;
  for (const [at, selected] of [[old, "false"], [what, "true"]]) {
    if (at) { elementOf(at).setAttribute("aria-selected", selected); }
  }
  showPointed();
}

const elementOf = (what) =>
  $(what.digit === undefined ? `unit-${key(what)}` : `output-${what.digit}`);

function makeLayers() {
  const sizes = about.sizes.slice(1, -1);
  sizes.forEach((count, layer) => {
    const titles = sizes.length > 1 ? `Hidden layer ${layer + 1}` : "Hidden layer";
    make("h3", $("layers"), {textContent: `${titles}: ${counted(count, "unit")}`});
    const grid = make("div", $("layers"), {className: "units"},
                      {role: "listbox", "aria-label": titles});
    for (let unit = 0; unit < count; unit++) {
      const tile = make("div", grid, {id: `unit-${layer}-${unit}`, tabIndex: -1},
                        {role: "option"});
      points(tile, {layer, unit});
    }
    grid.classList.toggle("many", count > 400);
    roving(grid);
    grids.push(grid);
  });
  $("layers").hidden = !sizes.length;
  new ResizeObserver(() => showLines()).observe($("flow"));
}

function showUnits() {
  const now = current();
  grids.forEach((grid, layer) => {
    // All steps of a damage share one scale, so that a weaker picture looks weaker.
    const most = now ? Math.max(...steps()[0].hidden[layer].map(Math.abs)) || 1 : 1;
    [...grid.children].forEach((tile, unit) => {
      const value = now ? now.hidden[layer][unit] : 0;
      const isOff = off.has(key({layer, unit}));
      tile.style.backgroundColor = css(towards(value / most));
      tile.className = isOff ? "off" : "";
      tile.setAttribute("aria-label",
                        `unit ${unit}: ${isOff ? "switched off" : fixed(value)}`);
    });
  });
  showLines();
}

function showPointed() {
  showLines();
  showUnit();
}

// --- Lines ---------------------------------------------------------------------------

const WIDEST = 7;       // px of the strongest line
const THINNEST = 0.4;   // px; what is thinner is left out

// The terms a V that hidden unit `unit` adds to the logits, and digit's from all units.
const termsOfUnit = (now, unit) => about.onward[unit].map(
  (weight) => now.hidden[last()][unit] * weight);
const termsOfDigit = (now, digit) => now.hidden[last()].map(
  (a, unit) => a * about.onward[unit][digit]);

function showLines() {
  const now = current(), what = pointed || pinned || (now && {digit: best(now)});
  $("caption").textContent = now && what ? captionOf(now, what) : "";
  if (!now || !grids.length || (what.unit !== undefined && what.layer !== last())) {
    $("lines").replaceChildren();
    return;
  }
  const terms = what.digit === undefined ? termsOfUnit(now, what.unit)
    : termsOfDigit(now, what.digit);
  const scale = WIDEST / strongest(now), wide = (k) => scale * Math.abs(terms[k]);
  const told = ranking(terms.map(Math.abs)).slice(0, 60)
    .filter((k) => wide(k) >= THINNEST);
  // All are measured before the first is drawn, which would cost a layout each.
  const lines = told.map((k) => {
    const [unit, digit] = what.digit === undefined ? [what.unit, k] : [k, what.digit];
    return {d: way(grids[last()].children[unit], $(`output-${digit}`).firstChild),
            class: terms[k] < 0 ? "orange" : "blue",
            "stroke-width": Math.min(WIDEST, wide(k)).toFixed(2)};
  });
  $("lines").replaceChildren();
  for (const line of lines) { shape("path", $("lines"), line); }
}

// The largest term between any unit and any digit: one scale for all lines.
const strongest = (now) => Math.max(...now.hidden[last()].map((a, unit) =>
  Math.abs(a) * Math.max(...about.onward[unit].map(Math.abs)))) || 1;

function way(from, to) {
  const [box, grid, a, b] = [$("lines"), grids[last()], from, to].map(
    (element) => element.getBoundingClientRect());
  const x = a.left + a.width / 2 - box.left, y = a.top + a.height / 2 - box.top;
  const endX = b.left - box.left, endY = b.top + b.height / 2 - box.top;
  return grid.right < b.left ? across(x, y, endX, endY)
    : around(x, y, endX, endY, grid.top - box.top);
}

// To a digit on the right: level at both ends.
function across(x, y, endX, endY) {
  const reach = Math.max(24, (endX - x) / 2);
  return `M${x} ${y}C${x + reach} ${y} ${endX - reach} ${endY} ${endX} ${endY}`;
}

// To a digit above the units, where there is no room beside them: up on the left.
function around(x, y, endX, endY, top) {
  const edge = endX - 16;
  return `M${x} ${y}C${x} ${top} ${edge} ${(y + top) / 2} ${edge} ${top - 12}`
    + `V${endY + 12}Q${edge} ${endY} ${endX} ${endY}`;
}

function captionOf(now, what) {
  if (what.digit !== undefined) { return digitText(now, what.digit); }
  if (what.layer !== last()) { return "The lines begin at the last hidden layer."; }
  const terms = termsOfUnit(now, what.unit), order = ranking(terms);
  const told = (k) => `${about.class_names[k]} (${signed(terms[k])})`;
  if (!terms.some(Boolean)) { return `Unit ${what.unit} adds nothing to any logit.`; }
  return `Unit ${what.unit} raises ${told(order[0])} and ${told(order[1])} most, and `
    + `lowers ${told(order.at(-1))} most.`;
}

function digitText(now, digit) {
  const name = about.class_names[digit], logit = fixed(now.logits[digit]);
  const bias = signed(about.bias[digit]);
  if (!grids.length) { return `The logit of ${name} is ${logit}, its bias ${bias}.`; }
  const terms = termsOfDigit(now, digit);
  const [up, down] = [terms.filter((t) => t > 0), terms.filter((t) => t < 0)];
  return `Lines into ${name}: ${counted(up.length, "unit")} ${signed(sum(up))}, `
    + `${counted(down.length, "unit")} ${fixed(sum(down))}, bias ${bias}: `
    + `logit ${logit}.`;
}
