"use strict";
// Accuracy by class, and some of the images that are classified wrongly.

const errorsOf = new Map();     // key of a moment -> the server's list

const thousands = (count) => count.toLocaleString("en");

function makeClasses() {
  for (const name of about.class_names) {
    makeBar($("bars"), name);
    makeBar($("outputs-now"), name);
  }
}

function showClasses() {
  const {correct, counts} = shownMoment();
  [...$("bars").children].forEach((row, k) => {
    const part = counts[k] ? correct[k] / counts[k] : 0;
    setBar(row, part, counts[k] ? `${(100 * part).toFixed(1)}\u00a0%` : "none");
  });
  $("classes-text").textContent =
    `Of ${thousands(sum(counts))} ${about.evaluated_on} images.`;
}

const askWrong = latest(async () => {
  const moment = shownMoment();
  if (!moment || errorsOf.has(moment.key)) { return; }
  errorsOf.set(moment.key, (await fetched(`/wrong?moment=${moment.key}`)).images);
  showWrong();
});

function showWrong() {
  const moment = shownMoment(), errors = errorsOf.get(moment.key);
  if (!errors) { askWrong(); return; }
  const count = sum(moment.counts) - sum(moment.correct);
  $("wrong-title").textContent =
    `Still wrong: ${thousands(count)} of ${thousands(sum(moment.counts))}`;
  $("errors").replaceChildren();
  for (const {index, label, read, output, picture} of errors) {
    const [is, as] = [label, read].map((k) => about.class_names[k]);
    const title = `${about.evaluated_on} image ${index}: ${is}, read as ${as} `
      + `(${percent(output)})`;
    const figure = make("figure", $("errors"), {title});
    paintGrey(make("canvas", figure, {}, {role: "img", "aria-label": title}),
              bytes(picture));
    make("figcaption", figure, {textContent: `${is} → ${as}`});
  }
  const kept = "What it is → what the network reads; the most confident errors first.";
  const lost = "Those of an earlier process are not kept.";
  $("wrong-text").textContent = errors.length ? kept : count ? lost : "";
}
