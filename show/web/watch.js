"use strict";
// The start of the page of a run.

roving($("story"));
readColours();
paintAll();
matchMedia("(prefers-color-scheme: dark)").onchange = () => {
  readColours();
  paintAll();
  if (moments.length) { showMoment(); }
};
look();
