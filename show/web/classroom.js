"use strict";
// Class mode: large type, a tally of what was drawn and what was read, pictures saved.

const tally = [];           // [class drawn, class read] of each drawing

function setClassMode(on) {
  document.documentElement.classList.toggle("class", on);
  $("class-mode").setAttribute("aria-pressed", on);
  $("tally").hidden = $("count").hidden = !on;
}

function makeClassroom() {
  $("class-mode").onclick = () => setClassMode($("tally").hidden);
  for (const [k, name] of about.class_names.entries()) {
    make("button", $("meant"), {type: "button", textContent: name,
                                onclick: () => count(k)});
  }
  roving($("meant"));
  $("tally-back").onclick = () => { tally.pop(); showTally(); };
  $("save").onclick = save;
  showTally();
}

// Count the drawing and make place for the next one.
function count(drawn) {
  const now = current();
  if (!now) { return; }
  tally.push([drawn, best(now)]);
  showTally();
  clearPaper();
}

function showTally() {
  const right = tally.filter(([drawn, read]) => drawn === read).length;
  $("tally-text").textContent = tally.length
    ? `${tally.length} drawn, ${right} read as meant (${(100 * right
      / tally.length).toFixed(0)}\u00a0%).` : "Nothing counted yet.";
  $("tally-back").disabled = !tally.length;
  const table = $("confusion"), names = about.class_names;
  table.replaceChildren();
  table.hidden = !tally.length;
  const head = make("tr", make("thead", table));
  make("th", head, {textContent: "drawn \\ read"}, {scope: "col"});
  for (const name of names) { make("th", head, {textContent: name}, {scope: "col"}); }
  const rows = make("tbody", table);
  names.forEach((name, drawn) => {
    const row = make("tr", rows);
    make("th", row, {textContent: name}, {scope: "row"});
    names.forEach((_, read) => {
      const times = tally.filter((one) => same(one, [drawn, read])).length;
      make("td", row, {textContent: times || "",
                       className: !times ? "" : drawn === read ? "blue" : "orange"});
    });
  });
}

// The drawing as a PNG file for `predict.py --image`: the pixels that are sent, black
// on white, so that it finds and answers what the page does.
function png() {
  const sheet = document.createElement("canvas");
  sheet.width = sheet.height = INK;
  const context = sheet.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, INK, INK);
  context.globalCompositeOperation = "difference";
  context.drawImage(ink, 0, 0);
  return sheet.toDataURL("image/png");
}

function save() {
  const now = current();
  const link = make("a", document.body, {href: png(), hidden: true,
    download: `drawing-${now ? named(now) : "empty"}.png`});
  link.click();
  link.remove();
}
