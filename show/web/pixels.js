"use strict";
// The 28 x 28 pixels that the network sees: ink or wipe them one by one, or let the
// server look for the fewest that make another answer of it.

const picture = $("picture"), marks = $("marks");
const cell = {x: SIDE / 2, y: SIDE / 2};    // the keyboard's place in the picture
let wiping = null;                          // what a drag of the mouse paints: 0 or 255

function showPicture() {
  const deed = visible().at(-1);
  paintGrey(picture, seen());
  paintMarks(deed && deed.marks ? deed.marks : new Set());
  $("fewest").disabled = !current();
  if (!deed || !deed.marks) { $("fewest-text").textContent = ""; }
}

// Frames around pixels, on a canvas of ten pixels for each.
function paintMarks(places) {
  const context = marks.getContext("2d");
  marks.width = marks.height = 10 * SIDE;
  for (const [colour, width] of [[colours.paper, 4], [colours.orange, 2]]) {
    context.strokeStyle = css(colour);
    context.lineWidth = width;
    for (const at of places) {
      context.strokeRect(10 * (at % SIDE) + 1, 10 * Math.floor(at / SIDE) + 1, 8, 8);
    }
  }
}

// The picture as it is now, even if the server has not answered yet.
function picturePixels() {
  const deed = visible().at(-1);
  return deed && deed.picture && !step ? deed.picture : seen();
}

// A copy to be changed: damage becomes part of it.
function takePicture() {
  const copy = picturePixels().slice();
  chooseDamage("");
  return copy;
}

// Ink a pixel or wipe it; a drag goes on in the same deed.
function setPixel(x, y, grey, isNew) {
  const deed = isNew ? {picture: takePicture()} : done.at(-1);
  if (!deed.picture) { return; }
  deed.picture[y * SIDE + x] = grey;
  if (isNew) { change(deed); } else { paintAll(); ask(); }
}

const greyAt = (x, y) => picturePixels()[y * SIDE + x];

function cellAt(event) {
  const box = picture.getBoundingClientRect();
  const inside = (z) => Math.min(SIDE - 1, Math.max(0, Math.floor(SIDE * z)));
  return [inside((event.clientX - box.left) / box.width),
          inside((event.clientY - box.top) / box.height)];
}

// A finger that moves scrolls the page, so only its tap counts.
let isTouch = false;
picture.onclick = (event) => {
  if (!isTouch || !about) { return; }
  const [x, y] = cellAt(event);
  setPixel(x, y, greyAt(x, y) < 128 ? 255 : 0, true);
};
picture.onpointerdown = (event) => {
  isTouch = event.pointerType === "touch";
  if (event.button !== 0 || !about || isTouch) { return; }
  [cell.x, cell.y] = cellAt(event);
  wiping = greyAt(cell.x, cell.y) < 128 ? 255 : 0;
  picture.setPointerCapture(event.pointerId);
  setPixel(cell.x, cell.y, wiping, true);
};
picture.onpointermove = (event) => {
  if (wiping === null || !event.buttons) { return; }
  const [x, y] = cellAt(event);
  const far = Math.max(Math.abs(x - cell.x), Math.abs(y - cell.y));
  for (let k = 1; k <= far; k++) {            // a quick mouse leaves out pixels
    setPixel(cell.x + Math.round((x - cell.x) * k / far),
             cell.y + Math.round((y - cell.y) * k / far), wiping, false);
  }
  [cell.x, cell.y] = [x, y];
};
picture.onpointerup = picture.onpointercancel = () => { wiping = null; };

picture.onkeydown = (event) => {
  const arrow = ARROWS[event.key];
  if (!about || !isPlain(event) || !(arrow || event.key === " ")) { return; }
  event.preventDefault();
  if (arrow) {
    cell.x = (cell.x + arrow[0] + SIDE) % SIDE;
    cell.y = (cell.y + arrow[1] + SIDE) % SIDE;
  } else if (!event.repeat) {
    setPixel(cell.x, cell.y, greyAt(cell.x, cell.y) < 128 ? 255 : 0, true);
  }
  showCell();
};
picture.onfocus = () => { if (picture.matches(":focus-visible")) { showCell(); } };
picture.onblur = () => { $("cell").hidden = true; };

function showCell() {
  $("cell").hidden = false;
  $("cell").style.left = `${100 * cell.x / SIDE}%`;
  $("cell").style.top = `${100 * cell.y / SIDE}%`;
  const inked = greyAt(cell.x, cell.y) > 127 ? "ink" : "paper";
  say(`Row ${cell.y + 1}, column ${cell.x + 1}: ${inked}.`);
}

// --- The fewest pixels ---------------------------------------------------------------

function makePixels() {
  make("option", $("goal"), {value: "", textContent: `another ${thing()}`});
  for (const [k, name] of about.class_names.entries()) {
    make("option", $("goal"), {value: k, textContent: name});
  }
  $("fewest").onclick = changeFewest;
}

async function changeFewest() {
  const now = current(), goal = $("goal").value, asked = visible().at(-1);
  if (!now || goal === String(best(now))) {
    $("fewest-text").textContent = "That is what it reads already.";
    return;
  }
  $("fewest-text").textContent = "Searching …";
  try {
    const query = {goal, off: [...off]};
    const {pixels} = await post("/change", bytes(now.picture), query);
    if (visible().at(-1) !== asked) { return; }     // something was drawn meanwhile
    if (!pixels.length) {
      $("fewest-text").textContent = "Nothing found, with up to 100 pixels.";
      return;
    }
    const changed = takePicture();
    for (const [at, grey] of pixels) { changed[at] = grey; }
    change({picture: changed, marks: new Set(pixels.map(([at]) => at))});
    const inked = pixels.filter(([, grey]) => grey).length;
    const what = [[inked, "inked"], [pixels.length - inked, "wiped"]]
      .filter(([count]) => count).map(([count, how]) => `${count} ${how}`);
    $("fewest-text").textContent = `It read ${named(now)} (${share(now)}). Marked: `
      + `${what.join(" and ")}, found one pixel at a time.`;
  } catch (error) {
    $("fewest-text").textContent = "";
    if (!(error instanceof Refused || error instanceof Unanswered)) { throw error; }
    complain(error.message);
  }
}
