// A moment as people say it; exactly, when pointed at.

import { html } from "/vendor/preact-htm.js";
import { span } from "/words.js";

export function When({ at, now, ahead = false }) {
  const away = ahead ? at - now : now - at;
  return html`<time datetime=${new Date(at * 1000).toISOString()} title=${new Date(at * 1000).toLocaleString()}>${
    ahead ? `in ${span(Math.max(0, away))}` : away < 2 ? "now" : `${span(away)} ago`}</time>`;
}
