"use strict";
// A tour of five steps, each of which lights one panel.

let stops = [];             // [panel, text] of each step
let stop = -1;              // the step of the tour; -1: there is none

function tourTo(at) {
  stop = at < stops.length ? at : -1;
  document.querySelectorAll(".lit").forEach((panel) => panel.classList.remove("lit"));
  $("tour").hidden = stop < 0;
  document.documentElement.classList.toggle("touring", stop >= 0);
  if (stop < 0) { $("tour-start").focus(); return; }
  const [id, text] = stops[stop];
  $(id).classList.add("lit");
  $(id).scrollIntoView({block: "start"});
  $("tour-text").textContent = `${stop + 1} of ${stops.length}: ${text}`;
  $("tour-back").disabled = !stop;
  $("tour-next").textContent = stop === stops.length - 1 ? "Finish" : "Next";
}

function makeTour() {
  stops = [
    ["draw", "Draw here. Nothing leaves this computer: the page asks a small server "
      + "that runs on it, and that is written in plain Python."],
    ["seen", "The drawing is sized, centred and cut into 28 x 28 pixels. These 784 "
      + "numbers are all that the network gets: click one to change it."],
    ["layers", "Each hidden unit multiplies the 784 numbers by its 784 weights, adds "
      + `all products and a bias, and ${about.activation} makes its activation of the `
      + "sum. Point at a unit to see that below."],
    ["answer", "Each output adds up its inputs times its weights, and a bias: its "
      + "logit. Softmax makes probabilities of the logits. Blue lines raise a logit, "
      + "orange ones lower it."],
    ["why", "The difference of two logits is a sum over units, and over pixels. So "
      + "you can see what decided, and choose what to compare the answer with."],
  ].filter(([id]) => !$(id).hidden);        // not every network has a hidden layer
  $("tour-start").onclick = () => { tourTo(0); $("tour-next").focus(); };
  $("tour-back").onclick = () => tourTo(stop - 1);
  $("tour-next").onclick = () => tourTo(stop + 1);
  $("tour-end").onclick = () => tourTo(-1);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && stop >= 0) { tourTo(-1); }
  });
}
