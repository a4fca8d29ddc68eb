"use strict";
// What every page needs: elements, numbers as text, questions to the server.

const SIDE = 28;            // pixels of a picture each way
const PATIENCE = 5000;      // ms for an answer; the slowest takes 2 s (800 units)
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);

function make(tag, parent, properties = {}, attributes = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const name in attributes) { element.setAttribute(name, attributes[name]); }
  parent.append(element);
  return element;
}

function shape(tag, parent, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) { element.setAttribute(name, attributes[name]); }
  element.textContent = text;
  parent.append(element);
  return element;
}

// A row with a name, a bar and a text.
function makeBar(list, name, more = {}, attributes = {}) {
  const row = make("li", list, more, attributes);
  make("span", row, {className: "name", textContent: name});
  make("span", make("span", row, {className: "track"}));
  make("span", row, {className: "percent"});
  return row;
}

function setBar(row, part, text) {
  row.querySelector(".track span").style.width = `${100 * part}%`;
  row.querySelector(".percent").textContent = text;
}

// --- Numbers -------------------------------------------------------------------------

// Two decimals, with a minus sign as wide as a plus; what is rounded to 0 has none.
function fixed(x, digits = 2) {
  const text = Math.abs(x).toFixed(digits);
  return x < 0 && Number(text) ? "−" + text : text;
}

const signed = (x) => (x < 0 ? "" : "+") + fixed(x);

// A softmax never reaches 1, so nothing is "100.0 %".
const percent = (p) => (p > 0.999 ? ">\u00a099.9" : (100 * p).toFixed(1)) + "\u00a0%";

const counted = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

// The place of the largest number; all places, that of the largest first.
const topOf = (numbers) => numbers.indexOf(Math.max(...numbers));
const ranking = (numbers) =>
  Array.from(numbers, (_, k) => k).sort((a, b) => numbers[b] - numbers[a]);

// "digit", if that is what the classes are.
const thing = () =>
  (about.class_names.every((name) => /^[0-9]$/.test(name)) ? "digit" : "class");

// --- Questions to the server ---------------------------------------------------------

class Refused extends Error {}          // with a line that says why
class Unanswered extends Error {}       // asking again may help

// What the server says to a question, within PATIENCE.
async function fetched(path, options = {}) {
  let response, text;
  try {
    response = await fetch(path, {signal: AbortSignal.timeout(PATIENCE), ...options});
    text = await response.text();
  } catch (error) {
    throw new Unanswered(error.name === "TimeoutError"
      ? `no answer within ${PATIENCE / 1000} seconds` : "no connection");
  }
  if (!response.ok) { throw new Refused(text.trim()); }
  return JSON.parse(text);
}

const post = (path, body, query = {}) =>
  fetched(`${path}?${new URLSearchParams(query)}`, {
    method: "POST", body, headers: {"Content-Type": "application/octet-stream"}});

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

// A job that runs once at a time: called meanwhile, it runs once more afterwards.
// Where the server gives no answer, it is run again a second later, again and again.
let jobs = 0;       // of all kinds that run at the moment

function latest(job) {
  let running = false, again = false;
  return async () => {
    again = true;
    if (running) { return; }
    running = true;
    jobs += 1;
    while (again) {
      again = false;
      try {
        await job();
        complain("");
      } catch (error) {
        complain(error.message, error instanceof Unanswered);
        if (error instanceof Unanswered) {
          await pause(1000);
          again = true;
        } else if (!(error instanceof Refused)) {
          again = running = false;
          jobs -= 1;
          throw error;                  // a fault of the page: the console has it
        }
      }
    }
    running = false;
    jobs -= 1;
  };
}

function complain(what, again = false) {
  const help = again ? " Is the command that serves this page still running? "
    + "Trying again …" : "";
  const text = what && `The server: ${what}.${help}`;
  if ($("trouble").textContent !== text) { $("trouble").textContent = text; }
}

// --- Screen readers ------------------------------------------------------------------

// Screen readers speak when the hand is still, not with every bit of a stroke.
let speaking = 0;

function say(text) {
  clearTimeout(speaking);
  $("spoken").textContent = text;
}

function sayLater(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { $("spoken").textContent = text; }, 700);
}

// --- Keys ----------------------------------------------------------------------------

const isPlain = (event) => !event.altKey && !event.ctrlKey && !event.metaKey;

// One stop of the Tab key for all children; arrows, Home and End move between them.
function roving(container) {
  const children = () => [...container.children];
  container.addEventListener("focusin", (event) => {
    for (const child of children()) { child.tabIndex = -1; }
    event.target.tabIndex = 0;
  });
  container.addEventListener("keydown", (event) => {
    const all = children(), at = all.indexOf(event.target);
    const row = all.filter((child) => child.offsetTop === all[0].offsetTop).length;
    const to = {ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row,
                ArrowDown: at + row, Home: 0, End: all.length - 1}[event.key];
    const chosen = [" ", "Enter"].includes(event.key) && event.target.role === "option";
    if (at < 0 || !isPlain(event) || (to === undefined && !chosen)) { return; }
    event.preventDefault();
    if (chosen && !event.repeat) { event.target.click(); }
    if (all[to]) { all[to].focus(); }
  });
  children().forEach((child, k) => { child.tabIndex = k ? -1 : 0; });
}
