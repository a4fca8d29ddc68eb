"use strict";
// The run: how far it is, its epochs, its moments, and the moment that is shown.

const POLL = 3000;          // ms between two looks: one takes 0.07 s of a training core
let about = null;           // what does not change: {sizes, class_names, epochs, ...}
let now = null;             // the server's last word: {live, text, part, points, ...}
let epochs = [];            // a row for each: numbers, see LOSS and so on
let moments = [];           // [{key, name, epoch, images, correct, counts}, ...]
let chosen = null;          // the key of the moment that is shown; null: the last one
const [LOSS, ACCURACY, OTHER_LOSS, OTHER_ACCURACY] = [0, 1, 2, 3];

const shownAt = () => {
  const at = moments.findIndex(({key}) => key === chosen);
  return at < 0 ? moments.length - 1 : at;
};
const shownMoment = () => moments[shownAt()];

// How many epochs a moment is from the start: 0.002 for the first hundred images.
const epochsOf = ({epoch, images}) => epoch + images / about.images;

const accuracy = ({correct, counts}) => sum(correct) / sum(counts);
const rate = (part) => `${(100 * part).toFixed(2)}\u00a0%`;

const look = latest(async () => {
  if (!about) { about = await fetched("/run"); describe(); }
  const version = now ? now.version : "";
  now = await fetched(`/now?version=${version}`);
  if (now.moments) { ({history: epochs, moments} = now); }
  showState();
  if (now.moments) { showMoment(); ask(); } else { showCurves(); }
  if (!now.live || now.moments) { say($(now.live ? "moment" : "doing").textContent); }
  if (now.live) { setTimeout(lookAgain, POLL); }
});

// A page that nobody looks at asks nothing.
function lookAgain() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", lookAgain, {once: true});
  } else {
    look();
  }
}

function describe() {
  $("about").textContent = `A network of ${about.sizes.join("-")} units, trained on `
    + `${about.data}. Nothing leaves this computer.`;
  $("classes-title").textContent = `Accuracy by ${thing()}`;
  $("evaluated-on").textContent = about.evaluated_on;
  $("home").hidden = !about.replayed;
  $("wrong").hidden = about.replayed;
  makeClasses();
}

// --- What is going on ----------------------------------------------------------------

const clock = (seconds) => (seconds < 100 ? `${Math.round(seconds)} s`
  : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`);

function showState() {
  const last = epochs.at(-1);
  const time = clock(now.seconds);
  $("doing").textContent = now.live ? now.text || "Starting …" : last
    ? `Trained for ${counted(epochs.length, "epoch")} in ${time}: `
      + `${rate(last[OTHER_ACCURACY])} of the ${about.evaluated_on} images classified `
      + "correctly." : "Training is over.";
  $("part").value = now.part;
  $("part").hidden = $("time").hidden = !now.live;
  $("time").textContent = time;
}

// --- The moment that is shown --------------------------------------------------------

function choose(at) {
  chosen = at >= moments.length - 1 ? null : moments[Math.max(0, at)].key;
  showMoment();
}

function showMoment() {
  const slider = $("slider"), moment = shownMoment();
  showCurves();
  slider.disabled = $("play").disabled = moments.length < 2;
  slider.max = Math.max(0, moments.length - 1);
  if (!moment) {
    $("moment").textContent = "no moments were kept: train with --watch";
    return;
  }
  slider.value = shownAt();
  const name = moment.name[0].toUpperCase() + moment.name.slice(1);
  $("moment").textContent = `${name}: ${rate(accuracy(moment))} correct`;
  slider.setAttribute("aria-valuetext", $("moment").textContent);
  showTiles();
  showClasses();
  showWrong();
  showStory();
}

$("slider").oninput = () => { stopReplay(); choose(Number($("slider").value)); };

// --- Replay --------------------------------------------------------------------------

const STEP = 900;           // ms for a moment
let replaying = null;

function stopReplay() {
  clearInterval(replaying);
  replaying = null;
  $("play").textContent = "Replay";
}

$("play").onclick = () => {
  if (replaying) { stopReplay(); return; }
  $("play").textContent = "Stop";
  choose(0);
  replaying = setInterval(() => {
    choose(shownAt() + 1);
    if (shownAt() === moments.length - 1) { stopReplay(); }
  }, STEP);
};
