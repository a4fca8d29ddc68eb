"use strict";
// The answer: the output layer's logits and what softmax makes of them.

function makeOutputs() {
  const list = $("outputs");
  for (const [k, name] of about.class_names.entries()) {
    const row = makeBar(list, name, {id: `output-${k}`, tabIndex: -1},
                        {role: "option"});
    row.firstChild.after(make("span", row, {className: "logit"}));
    points(row, {digit: k});
  }
  roving(list);
  const softmax = about.loss === "cross-entropy" ? "softmax" : "sigmoid";
  $("heads").lastElementChild.textContent = softmax;
  list.setAttribute("aria-label", `Output layer: logit and ${softmax} of each class`);
}

function showAnswer() {
  const now = current();
  showResult(now);
  [...$("outputs").children].forEach((row, k) => {
    const logit = now ? fixed(now.logits[k]) : "";
    const output = now ? percent(now.outputs[k]) : "";
    row.className = now && k === best(now) ? "best" : "";
    row.children[1].textContent = logit;
    setBar(row, now ? now.outputs[k] : 0, output);
    row.setAttribute("aria-label", about.class_names[k] + (now ? `: logit ${logit}, `
      + output + (row.className ? ", the answer" : "") : ""));
  });
  showNotes(now);
  const text = `${$("digit").textContent} ${$("share").textContent}`;
  $("brief").textContent = now ? text : "";
  sayLater(now ? `Answer: ${text}. ${$("notes").textContent}` : "Nothing drawn.");
}

// "3", or "?" where there is no digit, or each of several digits as a button.
function showResult(now) {
  const several = found && found.digits.length > 1;
  $("digit").replaceChildren();
  $("share").textContent = now ? shareText(now) : "nothing drawn yet";
  if (!several) {
    $("digit").textContent = now ? (found.remark ? "?" : named(now)) : "–";
    return;
  }
  found.digits.forEach((readings, k) => {
    const button = make("button", $("digit"), {
      type: "button", textContent: named(readings[Math.min(step, readings.length - 1)]),
      onclick: () => { which = k; show(); $("digit").children[k].focus(); }});
    button.setAttribute("aria-pressed", k === looked());
    button.setAttribute("aria-label", `digit ${k + 1} of ${found.digits.length}: `
      + button.textContent);
  });
}

function shareText(now) {
  if (found.remark) {
    return `${found.remark}: no digit. If it has to be one, ${named(now)} `
      + `(${share(now)}).`;
  }
  const perhaps = now.perhaps === null ? ""
    : `, perhaps ${about.class_names[now.perhaps]}`;
  return found.digits.length > 1 ? `digit ${looked() + 1} is ${named(now)}${perhaps} `
    + `(${share(now)})` : share(now) + perhaps;
}

// What has been done to the picture or the network is said beside the answer.
function showNotes(now) {
  const notes = $("notes"), deed = visible().at(-1);
  notes.replaceChildren();
  if (now && readFor && step) {
    make("span", notes, {textContent: DAMAGES[readFor].did(step)});
  }
  if (deed && deed.marks) {
    make("span", notes, {textContent: `${counted(deed.marks.size, "pixel")} changed`});
  }
  if (off.size) {
    make("span", notes, {textContent: `${counted(off.size, "unit")} switched off`});
    make("button", notes, {type: "button", textContent: "Switch on",
                           onclick: () => switchUnits([...off])});
  }
}
