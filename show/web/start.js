"use strict";
// The start: what the network is, then all that depends on it.

function makeSamples() {
  $("samples-title").hidden = !about.samples.length;
  for (const {name, picture: text} of about.samples) {
    const button = make("button", $("samples"), {
      type: "button", onclick: () => change({picture: bytes(text)})},
      {"aria-label": `sample: ${name}`});
    paintGrey(make("canvas", button), bytes(text));
  }
  roving($("samples"));
}

function describe() {
  $("learnt").hidden = !about.replayed;
  const digits = thing() === "digit", sizes = about.sizes.join("-");
  const known = digits ? "" : ` It knows ${about.class_names.join(", ")}.`;
  const title = digits ? "Draw a digit" : "Draw for the network";
  $("title").textContent = document.title = title;
  document.documentElement.classList.toggle("named", !digits);
  $("about").textContent = `A ${sizes} network reads it as you draw; nothing leaves `
    + `this computer.${known}`;
  $("form").textContent = "784 numbers: your drawing, sized and centred"
    + (about.levels < 256 ? `, in ${about.levels} shades of grey.` : ".")
    + " Click a pixel to ink or wipe it.";
}

function repaint() {
  readColours();
  paintAll();
  [...$("samples").children].forEach((button, k) =>
    paintGrey(button.firstChild, bytes(about.samples[k].picture)));
  show();
  showWhy();
}

const start = latest(async () => {
  if (about) { return; }
  const said = await fetched("/start");
  about = said;
  describe();
  for (const makePart of [makeOutputs, makeLayers, makeWhy, makeDamages, makePixels,
                          makeSamples, makeClassroom, makeTour]) { makePart(); }
  show();
  matchMedia("(prefers-color-scheme: dark)").onchange = repaint;
  if (visible().length) { ask(); }
});

readColours();
paintAll();
start();
