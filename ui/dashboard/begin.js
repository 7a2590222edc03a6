// What comes first: the ticket's exchange, which is on its way while the frame is painted;
// then, once something stands there to look at, everything the first page needs at once.

import { enter } from "/api.js";

// A hint only, so that they come side by side and not one behind another: each file is read
// because something imports it. Before the first paint they would only be in its way.
const NEEDED = [
  "/vendor/preact-htm.js", "/live.js", "/parts.js", "/words.js", "/vendor/uqr.js",
  "/overview.js", "/pause.js", "/questions.js", "/services.js", "/main.js",
];

const LONGEST_MS = 300; // a tab in the background is painted late or never

const painted = () => new Promise((done) => {
  if (document.hidden) done();
  setTimeout(done, LONGEST_MS);
  requestAnimationFrame(() => setTimeout(done));
});

enter().catch(() => {}); // main.js waits for the same exchange and says what went wrong
await painted();
await Promise.all(NEEDED.map((file) => import(file)));
