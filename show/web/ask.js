"use strict";
// What is known at the moment: the server's answers, and what is wanted of them.

let about = null;           // what the server said at the start
let found = null;           // its last word: {remark, digits}; each digit is a list of
                            //   readings, one for each step of the damage `readFor`
let readFor = "";
let damage = "", step = 0;  // what is wanted: which damage, and how much of it
let which = 0;              // of several digits the one that is looked at
const off = new Set();      // hidden units that are switched off: "layer-unit"

const best = (reading) => topOf(reading.outputs);
const named = (reading) => about.class_names[best(reading)];
const share = (reading) => percent(Math.max(...reading.outputs));

// The steps of the digit that is looked at, and the one of them that is.
const looked = () => Math.min(which, found.digits.length - 1);
const steps = () => (found ? found.digits[looked()] : []);
const current = () => steps()[Math.min(step, steps().length - 1)];
const seen = () => (current() ? bytes(current().picture) : new Uint8Array(SIDE * SIDE));

// The drawing as it is sent: a picture goes as it is, strokes as their ink.
function body(deeds) { return deeds.at(-1).picture || inkPixels(); }

// One question at a time; what is drawn meanwhile goes into the next one.
const ask = latest(async () => {
  if (!about) { return; }
  const deeds = visible(), kind = damage, query = {damage: kind, off: [...off]};
  const late = setTimeout(() => { $("speed").textContent = "Asking …"; }, 400);
  try {
    if (deeds.length) {
      const path = deeds.at(-1).picture ? "/picture" : "/ink";
      const start = performance.now();
      found = await post(path, body(deeds), query);
      const ms = Math.ceil(performance.now() - start);
      $("speed").textContent = `Answered in ${ms} ms.`;
    } else {
      found = null;
      $("speed").textContent = "";
    }
    readFor = kind;
    show();
  } catch (error) {
    if (error instanceof Unanswered) { $("speed").textContent = "No answer."; }
    throw error;
  } finally {
    clearTimeout(late);
  }
});

// What each answer changes; why, and the unit that decided, follow when they are known.
function show() {
  showAnswer();
  showPicture();
  showSteps();
  showUnits();
  showButtons();
  askWhy();
}
