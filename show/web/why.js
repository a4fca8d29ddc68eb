"use strict";
// Why 3 and not 2?  The difference of their logits, part by part.
//
//   Z[3] - Z[2] = sum over hidden units of  a (V[3] - V[2])  +  b[3] - b[2]
//               = sum over pixels of  ink * slope            +  a part of the biases
//
// The first holds for every network, a being the last hidden layer's activations; the
// second for relu, which is a straight line wherever a unit does not change sides.

const DECIDED = 6;          // units with a bar of their own
let why = null;             // what the server said: {digit, rival, difference, ...}
let rival = null;           // the rival that was chosen; null: the runner-up
let decisive = null;        // {layer, unit}: the unit with the largest part

const rivalOf = (now) => (rival !== null && rival !== best(now) ? rival
  : ranking(now.outputs)[1]);

const askWhy = latest(async () => {
  const now = current();
  if (!now || now.outputs.length < 2) { why = null; showWhy(); return; }
  const query = {digit: best(now), rival: rivalOf(now), off: [...off]};
  const wanted = JSON.stringify([now.picture, query]);
  if (why && why.wanted === wanted) { return; }
  why = {wanted, now, ...query, ...await post("/why", bytes(now.picture), query)};
  showWhy();
  await pause(100);         // the pen's strokes come first: they ask the server as well
});

function makeWhy() {
  const select = $("rival");
  for (const [k, name] of about.class_names.entries()) {
    make("option", select, {value: k, textContent: name});
  }
  select.onchange = () => { rival = Number(select.value); askWhy(); };
  $("switch-deciders").onclick = () => switchUnits(deciders().map(
    (unit) => key({layer: last(), unit})).filter((unit) => !off.has(unit)));
}

const deciders = () => ranking(why.units.map(Math.abs)).slice(0, DECIDED)
  .filter((unit) => why.units[unit]);

function showWhy() {
  $("why-content").classList.toggle("blank", !why);
  $("why-hint").hidden = Boolean(why);
  $("rival").disabled = !why;
  $("why-digit").textContent = why ? about.class_names[why.digit] : "this";
  decisive = why && deciders().length ? {layer: last(), unit: deciders()[0]} : null;
  if (why) {
    [...$("rival").options].forEach((option, k) => {
      option.hidden = option.disabled = k === why.digit;
      option.selected = k === why.rival;
    });
    const [a, b] = [why.digit, why.rival].map((k) => about.class_names[k]);
    const image = bytes(why.now.picture);
    paintParts($("why-ink"), why.slope.map((slope, k) => slope * image[k] / 255));
    paintWeights($("why-slope"), why.slope);
    $("why-ink-text").textContent = `Your ink: blue speaks for ${a}, orange for ${b}.`;
    $("why-slope-text").textContent = `More ink would speak for ${a} where it is blue, `
      + `for ${b} where it is orange.`;
    showParts(a, b);
    showSums(a, b, image);
  }
  showUnit();
}

// --- Bars ----------------------------------------------------------------------------

// [what, how much, the unit if it is one] of each part of the difference.
function parts() {
  if (!grids.length) {
    return [["ink", why.difference - why.bias], ["bias", why.bias]];
  }
  const top = deciders(), others = why.units.length - top.length;
  const rest = sum(why.units) - sum(top.map((unit) => why.units[unit]));
  return [...top.map((unit) => [`unit ${unit}`, why.units[unit], unit]),
          ...(others > 0 ? [[counted(others, "other"), rest]] : []),
          ["bias", why.bias]];
}

function showParts(a, b) {
  const list = $("why-units"), all = parts();
  const most = Math.max(...all.map(([, part]) => Math.abs(part))) || 1;
  // What the mouse or the focus is on goes away, and would not say that it has left.
  if (list.matches(":hover, :focus-within")) { pointed = null; }
  list.replaceChildren();
  $("why-units-title").textContent = grids.length
    ? `The ${counted(deciders().length, "unit")}${ofLayer(last())} that decided`
    : "Ink and bias";
  $("switch-deciders").hidden = !deciders().length;
  for (const [what, part, unit] of all) {
    const row = make("li", list, {title: `speaks for ${part < 0 ? b : a}`});
    const name = make(unit === undefined ? "span" : "button", row, {textContent: what});
    if (unit !== undefined) { points(name, {layer: last(), unit}); }
    const bar = make("span", make("span", row, {className: "scale"}),
                     {className: part < 0 ? "orange" : "blue"});
    bar.style.width = `${50 * Math.abs(part) / most}%`;
    make("span", row, {className: "number", textContent: signed(part)});
  }
}

// --- The sums, in words --------------------------------------------------------------

function showSums(a, b, image) {
  const {difference, units, bias, slope, offset} = why;
  const [za, zb] = [why.digit, why.rival].map((k) => fixed(why.logits[k]));
  const ink = sum(slope.map((s, k) => s * image[k] / 255));
  $("why-sum").replaceChildren();
  const tell = (text) => make("p", $("why-sum"), {textContent: text});
  tell(`The logit of ${a} less that of ${b}, rounded: ${za} − ${zb} = `
    + `${fixed(difference)}.`);
  if (units.length) {
    tell(`Unit by unit: ${signed(sum(units))} from all ${units.length}, `
      + `${signed(bias)} from the biases. ${agree(sum(units) + bias)}`);
  }
  if (about.activation === "relu" || !units.length) {
    const way = units.length ? " on their way through the active units" : "";
    tell(`Pixel by pixel: ${signed(ink)} from the ink, ${signed(offset)} from the `
      + `biases${way}. ${agree(ink + offset)}`);
  } else {
    tell(`Pixel by pixel there is no exact sum, as ${about.activation} is curved: the `
      + "colours hold for small changes of the ink.");
  }
  if (about.loss === "cross-entropy") {
    const odds = Math.exp(Math.min(difference, 700)).toLocaleString("en", {
      maximumSignificantDigits: 2});
    tell(`To softmax this means: ${a} is e^${fixed(difference)} or about ${odds} `
      + `times as probable as ${b}.`);
  }
}

// Whether a sum is the difference, but for the rounding of floating point.
function agree(total) {
  const size = 1 + Math.max(...why.logits.map(Math.abs));
  return Math.abs(total - why.difference) <= 1e-9 * size
    ? `Together exactly ${fixed(total)}.` : `Together ${fixed(total)}: not exact.`;
}
