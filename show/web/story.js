"use strict";
// Your drawing: what the network answered to it at each moment.

let said = null;            // the server's last word: {remark, digits, outputs}

const cleared = () => {};   // nothing here goes with a drawing that is cleared

const ask = latest(async () => {
  showButtons();
  said = visible().length && moments.length ? await post("/answers", inkPixels())
    : null;
  showStory();
  if (said) { sayLater($("outputs-title").textContent); }
});

function showStory() {
  const moment = shownMoment(), outputs = moment && said && said.outputs[moment.key];
  for (const id of ["story", "outputs-title", "outputs-now"]) {
    $(id).hidden = !outputs;
  }
  $("answers-hint").hidden = Boolean(outputs);
  $("brief").textContent = "";
  if (!outputs) { return; }
  const top = topOf(outputs), name = about.class_names[top];
  const remark = said.remark ? `${said.remark}; if it has to be one, ` : said.digits > 1
    ? `${said.digits} digits, of which the first is ` : "";
  $("outputs-title").textContent =
    `${moment.name}: ${remark}${name} (${percent(outputs[top])})`;
  if (!said.remark) { $("brief").textContent = `${name} ${percent(outputs[top])}`; }
  [...$("outputs-now").children].forEach((row, k) => {
    row.className = k === top ? "best" : "";
    setBar(row, outputs[k], percent(outputs[k]));
  });
  showMoments(topOf(said.outputs[moments.at(-1).key] || outputs));
}

// A row for each moment; those that agree with the last one are blue.
function showMoments(last) {
  const list = $("story"), focused = list.contains(document.activeElement);
  if (list.children.length !== moments.length) { makeStory(list); }
  moments.forEach(({key, name}, at) => {
    const row = list.children[at], outputs = said.outputs[key];
    row.firstChild.textContent = name;
    row.setAttribute("aria-selected", at === shownAt());
    if (!outputs) { return; }
    const top = topOf(outputs);
    row.children[1].textContent = about.class_names[top];
    row.className = top === last ? "same" : "";
    setBar(row, outputs[top], percent(outputs[top]));
    row.setAttribute("aria-label", `${name}: ${about.class_names[top]}, `
      + percent(outputs[top]));
  });
  if (focused) { list.children[shownAt()].focus(); }
}

function makeStory(list) {
  list.replaceChildren();
  moments.forEach((_, at) => {
    const row = makeBar(list, "", {tabIndex: -1, onclick: () => {
      stopReplay();
      choose(at);
    }}, {role: "option"});
    row.firstChild.after(make("b", row, {className: "name"}));
  });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-labelledby", "answers-title");
  list.children[moments.length - 1].tabIndex = 0;
}
