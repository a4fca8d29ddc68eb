"use strict";
// Loss and accuracy over the epochs, and where in them the shown moment is.

// px around a chart, in which the numbers of the axes are.
function edges() {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  return {left: 2.9 * rem, right: 0.7 * rem, top: 0.6 * rem, bottom: 1.3 * rem};
}

// Points [epochs, value] of the training images: means of epochs, each in its middle,
// and from where there are finer ones those.
function trainPoints(column) {
  const fine = now.points.map((point) => [point[0], point[1 + column]]);
  const from = fine.length ? fine[0][0] : Infinity;
  return [...epochs.map((row, k) => [k + 0.5, row[column]]).filter(([x]) => x < from),
          ...fine];
}

const otherPoints = (column) => epochs.map((row, k) => [k + 1, row[column]]);

function showCurves() {
  if (!now) { return; }
  for (const [id, column, other, text] of [
    ["loss", LOSS, OTHER_LOSS, (y, step) => y.toFixed(step < 0.1 ? 2 : 1)],
    ["accuracy", ACCURACY, OTHER_ACCURACY, (y) => `${+(100 * y).toFixed(1)} %`]]) {
    drawChart($(id), trainPoints(column), otherPoints(other), text, id === "loss");
    const last = epochs.at(-1);
    $(id).setAttribute("aria-label", last ? `${id} after `
      + `${counted(epochs.length, "epoch")}: training ${text(last[column], 0)}, `
      + `${about.evaluated_on} ${text(last[other], 0)}` : `${id}: no epoch done yet`);
  }
}

// The first values are far off; once the run has gone on, they would leave the others a
// thin strip.  So the scale is made for all but the first twentieth.
function rangeOf(points, falls) {
  const far = Math.max(...points.map(([x]) => x));
  const values = points.filter(([x]) => x >= far / 20).map(([, y]) => y);
  return falls ? [0, Math.max(...values) * 1.05]
    : [Math.max(0, Math.min(...values) - 0.02), 1];
}

// 1, 2 or 5 times a power of ten, so that about `count` of them make the range.
function niceStep(range, count) {
  const power = 10 ** Math.floor(Math.log10(range / count));
  return power * [1, 2, 5, 10].find((times) => times * power * count >= range);
}

function drawChart(chart, train, other, text, falls) {
  const {width, height} = chart.getBoundingClientRect(), edge = edges();
  chart.replaceChildren();
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const svg = shape("g", chart, {"aria-hidden": true});      // its label says it all
  const all = [...train, ...other];
  const [low, high] = all.length ? rangeOf(all, falls) : [0, 1];
  const longest = Math.max(about.epochs, epochs.length);
  const x = (at) => edge.left + at / longest * (width - edge.left - edge.right);
  const deep = height - edge.top - edge.bottom;
  const y = (value) => edge.top + (high - value) / (high - low || 1) * deep;
  drawGrid(svg, [low, high], longest, x, y, text);
  const moment = shownMoment();
  if (moment) {
    const at = x(epochsOf(moment));
    shape("line", svg, {class: "now", x1: at, x2: at, y1: y(high), y2: y(low)});
  }
  const plot = shape("svg", svg, {y: edge.top - 4, height: deep + 8,     // it cuts off
                                  viewBox: `0 ${edge.top - 4} ${width} ${deep + 8}`});
  for (const [name, points] of [["train", train], ["other", other]]) {
    shape("polyline", plot, {class: name, points: points.map(([at, value]) =>
      `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ")});
  }
  if (other.length <= 60) {
    for (const [at, value] of other) {
      shape("circle", plot, {cx: x(at), cy: y(value), r: 3});
    }
  }
}

function drawGrid(svg, [low, high], longest, x, y, text) {
  const step = niceStep(high - low, 4), right = x(longest);
  for (let k = Math.ceil(low / step); k * step <= high; k++) {
    const at = y(k * step);
    shape("line", svg, {class: "grid", x1: x(0), x2: right, y1: at, y2: at});
    shape("text", svg, {x: x(0) - 5, y: at, dy: "0.3em", "text-anchor": "end"},
          text(k * step, step));
  }
  const stride = Math.max(1, niceStep(longest, 6));
  for (let epoch = 0; epoch <= longest; epoch += stride) {
    shape("text", svg, {x: x(epoch), y: y(low), dy: "1.3em", "text-anchor": "middle"},
          epoch);
  }
}

new ResizeObserver(showCurves).observe($("charts"));
