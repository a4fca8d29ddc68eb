"use strict";
// The drawing: a list of deeds, painted twice - for the eye and for the network.

const INK = 140;            // pixels each way of what the network is sent
const ink = document.createElement("canvas");       // white on black
ink.width = ink.height = INK;
const inkContext = ink.getContext("2d", {willReadFrequently: true});
const paper = $("paper"), paperContext = paper.getContext("2d");

// A deed is {width, points: [[x, y], ...]} or {picture: 784 bytes}, or {} for "clear".
const done = [];

function paintLine(width, from, to) {
  for (const [context, scale, colour] of [
    [inkContext, 1, "#fff"],
    [paperContext, paper.width / INK, css(colours.ink)]]) {
    context.lineCap = "round";
    context.lineWidth = width * scale;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(from[0] * scale, from[1] * scale);
    context.lineTo(to[0] * scale, to[1] * scale);
    context.stroke();
  }
}

function paintPicture(picture) {
  const size = INK / SIDE, scale = paper.width / SIDE;
  picture.forEach((grey, k) => {
    const x = k % SIDE, y = Math.floor(k / SIDE);
    inkContext.fillStyle = `rgb(${grey} ${grey} ${grey})`;
    inkContext.fillRect(x * size, y * size, size, size);
    paperContext.fillStyle = css(mixed("ink", grey / 255));
    paperContext.fillRect(x * scale, y * scale, scale, scale);
  });
}

// The deeds since the page was last empty.
function visible() {
  const start = done.map((deed) => !deed.points).lastIndexOf(true);
  return done.slice(Math.max(start, 0)).filter((deed) => deed.points || deed.picture);
}

function paintAll() {
  inkContext.fillStyle = "#000";
  inkContext.fillRect(0, 0, INK, INK);
  paperContext.clearRect(0, 0, paper.width, paper.height);
  for (const deed of visible()) {
    if (deed.picture) {
      paintPicture(deed.picture);
    } else {
      deed.points.forEach((point, k) =>
        paintLine(deed.width, deed.points[Math.max(k - 1, 0)], point));
    }
  }
  $("hint").style.display = visible().length ? "none" : "";
}

// The ink as bytes, 0 for paper.
function inkPixels() {
  const grey = inkContext.getImageData(0, 0, INK, INK).data;
  const ink = new Uint8Array(INK * INK);
  for (let k = 0; k < ink.length; k++) { ink[k] = grey[4 * k]; }
  return ink;
}

// --- Deeds ---------------------------------------------------------------------------

let drawing = null;         // the id of the pointer that is down

function begin(point) {
  done.push({width: Number($("brush").value), points: [point]});
  if (visible().length === 1) { paintAll(); }
  paintLine(done.at(-1).width, point, point);
  ask();
}

function lineTo(point) {
  const {width, points} = done.at(-1);
  paintLine(width, points.at(-1), point);
  points.push(point);
  ask();
}

// Do something else than a stroke, or with null undo; a stroke under way ends here.
function change(deed) {
  drawing = null;
  liftPen();
  if (deed) { done.push(deed); } else { done.pop(); }
  paintAll();
  ask();
}

function clearPaper() {
  if (!visible().length) { return; }
  cleared();
  change({});
}

// A button that has become of no use gives the focus to the paper, not to nothing.
function showButtons() {
  for (const [button, useful] of [[$("undo"), done], [$("clear"), visible()]]) {
    if (!useful.length && document.activeElement === button) {
      paper.focus({preventScroll: true});
    }
    button.disabled = !useful.length;
  }
}

$("clear").onclick = clearPaper;
$("undo").onclick = () => change(null);

// --- Mouse, pen and finger -----------------------------------------------------------

function place(event) {
  const box = paper.getBoundingClientRect(), edge = paper.clientLeft;
  return [(event.clientX - box.left - edge) * INK / paper.clientWidth,
          (event.clientY - box.top - edge) * INK / paper.clientHeight];
}

paper.onpointerdown = (event) => {
  if (drawing !== null || event.button !== 0) { return; }
  liftPen();
  $("pen").hidden = true;
  drawing = event.pointerId;
  paper.setPointerCapture(drawing);
  begin(place(event));
};
paper.onpointermove = (event) => {
  if (event.pointerId !== drawing) { return; }
  const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  (all.length ? all : [event]).map(place).forEach(lineTo);
};
paper.onpointerup = paper.onpointercancel = (event) => {
  if (event.pointerId === drawing) { drawing = null; }
};

// --- The keyboard's pen --------------------------------------------------------------

const pen = {x: INK / 2, y: INK / 4, down: false};
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
                ArrowDown: [0, 1]};
const held = new Set();     // arrows that are down: two of them go aslant

function showPen() {
  $("pen").hidden = false;
  $("pen").className = pen.down ? "down" : "";
  const edge = paper.clientLeft, scale = paper.clientWidth / INK;
  $("pen").style.left = `${pen.x * scale + edge}px`;
  $("pen").style.top = `${pen.y * scale + edge}px`;
}

function liftPen() {
  pen.down = false;
  $("pen").className = "";
}

function togglePen() {
  drawing = null;
  pen.down = !pen.down;
  if (pen.down) { begin([pen.x, pen.y]); }
  const [across, down] = [pen.x, pen.y].map((z) => Math.round(100 * z / INK));
  say(`Pen ${pen.down ? "down" : "up"} at ${across} per cent across, ${down} down.`);
}

function movePen(reach) {
  const limit = (z) => Math.min(INK - 6, Math.max(6, z));
  for (const key of held) {
    pen.x = limit(pen.x + reach * ARROWS[key][0]);
    pen.y = limit(pen.y + reach * ARROWS[key][1]);
  }
  if (pen.down) { lineTo([pen.x, pen.y]); }
}

// What a key does on the paper; null where it is the browser's.
function penKey(event) {
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.altKey && event.key.toLowerCase() === "z") {
    return () => change(null);
  }
  if (!isPlain(event)) { return null; }
  if (ARROWS[event.key]) {
    return () => { held.add(event.key); movePen(event.shiftKey ? 12 : 4); };
  }
  const action = {" ": togglePen, Backspace: () => change(null),
                  Delete: clearPaper}[event.key];
  return action && (() => { if (!event.repeat) { action(); } });
}

paper.onkeydown = (event) => {
  const action = penKey(event);
  if (!action) { return; }
  event.preventDefault();
  action();
  showPen();
};
paper.onkeyup = (event) => held.delete(event.key);
paper.onblur = () => { held.clear(); liftPen(); $("pen").hidden = true; };
