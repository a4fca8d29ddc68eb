"use strict";
// Damage to the picture after it has been centred, in seven steps from none to most.

const DAMAGES = {
  shift: {name: "Shift", label: (k) => `${k} px`,
    did: (k) => `Moved by ${counted(k, "pixel")}`,
    lesson: `A drawing is centred before it is read; this shift comes after that. Each
      weight belongs to one place in the picture, so the same ink a little further on
      meets other weights. You would not even notice.`},
  noise: {name: "Noise", label: (k) => `${2 * k} %`,
    did: (k) => `With ${2 * k}\u00a0% of the pixels inked`,
    lesson: `You see a digit behind some dirt. The network knows no dirt: each grain is
      ink, and adds its weight to the sum of every unit.`},
  thin: {name: "Thinner", label: (k) => `${fixed(k / 3, 1)} px`,
    did: (k) => `With ${DAMAGES.thin.label(k)} taken off each side of the lines`,
    lesson: `Less ink makes smaller sums, so the units grow weaker; where a line breaks,
      what held the answer up may be gone altogether.`},
  turn: {name: "Rotate", label: (k) => `${10 * k}°`,
    did: (k) => `Rotated by ${10 * k}°`,
    lesson: `The network has learnt from pictures that were upright or nearly so. Nobody
      told it that a rotated digit is the same digit.`},
};

function makeDamages() {
  for (const kind of ["", ...about.damages]) {
    make("button", $("damages"), {
      type: "button", textContent: kind ? DAMAGES[kind].name : "None",
      onclick: () => {
        step = kind && kind === damage ? step % about.steps + 1 : Number(kind !== "");
        chooseDamage(kind);
        ask();
      }});
  }
  for (let k = 0; k <= about.steps; k++) {
    const button = make("button", $("steps"), {type: "button"});
    for (const tag of ["canvas", "span", "b", "span"]) { make(tag, button); }
    button.onclick = () => { step = k; show(); };
  }
  roving($("damages"));
  roving($("steps"));
  chooseDamage("");
}

// Set the damage that is wanted; the next question asks for it.
function chooseDamage(kind) {
  damage = kind;
  if (!kind) { step = 0; }
  [...$("damages").children].forEach((button, k) =>
    button.setAttribute("aria-pressed", ["", ...about.damages][k] === damage));
  $("lesson").textContent = damage ? DAMAGES[damage].lesson
    : "Choose a damage; choose it again for more of it.";
}

// A drawing that is cleared takes its damage with it.
const cleared = () => chooseDamage("");

function showSteps() {
  const all = steps();
  $("steps").style.display = all.length > 1 ? "" : "none";
  $("verdict").textContent = damage && !found ? "Draw something first." : "";
  if (all.length > 1) {
    const [whole, now] = [all[0], current()];
    all.forEach((reading, k) => showStep($("steps").children[k], reading, k, whole));
    const outcome = best(now) === best(whole)
      ? `still ${named(now)} (${share(whole)} before, ${share(now)} now).`
      : `${named(whole)} (${share(whole)}) has become ${named(now)} (${share(now)}).`;
    $("verdict").textContent = step ? `${DAMAGES[readFor].did(step)}: ${outcome}`
      : `Undamaged: ${named(whole)} (${share(whole)}).`;
  }
}

function showStep(button, reading, k, whole) {
  const [tile, label, name, portion] = button.children;
  const changed = best(reading) !== best(whole);
  paintGrey(tile, bytes(reading.picture));
  label.textContent = DAMAGES[readFor].label(k);
  name.textContent = (changed ? "≠ " : "") + named(reading);
  portion.textContent = `${Math.floor(100 * Math.max(...reading.outputs))} %`;
  button.className = changed ? "changed" : "";
  button.setAttribute("aria-pressed", k === step);
  button.setAttribute("aria-label", `${k ? DAMAGES[readFor].did(k) : "Undamaged"}: `
    + `read as ${named(reading)}, ${share(reading)}${changed ? ", changed" : ""}`);
}
