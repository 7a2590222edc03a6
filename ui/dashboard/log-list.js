// The list of log lines: only the rows in sight are in the page, however many there are.
//
// Browsers give an element some 17 million pixels at most, which is fewer than a million
// rows need. So beyond TALLEST the scroll bar is a scale: small movements go line by line,
// large ones (dragging the bar) to that part of the whole.

import { html, useEffect, useLayoutEffect, useRef, useState } from "/vendor/preact-htm.js";
import { Marked } from "/log-line.js";
import { clock } from "/words.js";

const TALLEST = 8_000_000;
const SPARE = 12; // rows drawn beyond the edges

/** `source`: the lines. `view` is written with what the page asks of the list: toEnd, toIndex.
 *  `onFollow(on)` is told when scrolling leaves or reaches the end. */
export function LogList({ source, view, follow, onFollow, chosen, onChoose, onOpen, test }) {
  const box = useRef(null);
  const probe = useRef(null);
  const state = useRef({ top: 0, scroll: 0, row: 20, height: 400, ours: null, chosen: -1 }).current;
  const [, draw] = useState(0);
  const redraw = () => draw((n) => n + 1);

  const whole = () => source.count * state.row;
  const tall = () => Math.min(whole(), TALLEST);
  const most = () => Math.max(0, whole() - state.height);
  const scrollFor = (top) => (whole() <= TALLEST ? top
    : (most() ? top / most() : 0) * (TALLEST - state.height));

  const place = (top) => {
    state.top = Math.min(Math.max(0, top), most());
    state.scroll = Math.round(scrollFor(state.top));
    state.ours = state.scroll;
    redraw();
  };

  const onScroll = () => {
    if (!box.current) return; // scrolled by the browser while the list was taken away
    const now = box.current.scrollTop;
    const ours = state.ours !== null && Math.abs(now - state.ours) < 1.5;
    state.ours = null;
    if (ours) return;
    const by = now - state.scroll;
    state.scroll = now;
    const end = tall() - state.height;
    if (whole() <= TALLEST) state.top = now;
    else if (now <= 0) state.top = 0;
    else if (now >= end - 1) state.top = most();
    else if (Math.abs(by) < state.height * 3) state.top = Math.min(Math.max(0, state.top + by), most());
    else state.top = (now / end) * most();
    const atEnd = state.top >= most() - state.row;
    if (atEnd !== follow && (atEnd || by < 0)) onFollow(atEnd);
    redraw();
  };

  const inSight = (index) => index >= 0 && (index + 1) * state.row > state.top
    && index * state.row < state.top + state.height;
  state.chosen = chosen && source.count ? source.indexOf(chosen) : -1;

  view.toIndex = (index) => place((index + 0.5) * state.row - state.height / 2);
  view.toEnd = () => place(most());
  view.shift = (rows) => place(state.top + rows * state.row);
  view.reveal = (index) => {
    if (index * state.row < state.top) place(index * state.row);
    else if ((index + 1) * state.row > state.top + state.height) place((index + 1) * state.row - state.height);
    else redraw();
  };

  useLayoutEffect(() => {
    const measure = () => {
      const seen = inSight(state.chosen);
      state.height = box.current.clientHeight;
      state.row = probe.current.getBoundingClientRect().height || 20;
      if (follow) view.toEnd();
      else if (seen) view.reveal(state.chosen); // what is looked at stays when the box shrinks
      else redraw();
    };
    const watch = new ResizeObserver(measure);
    watch.observe(box.current);
    watch.observe(probe.current);
    return () => watch.disconnect();
  }, [source, follow]);

  // After each drawing, so that the page is as tall as the place in it needs.
  useLayoutEffect(() => {
    if (!box.current || state.ours === null) return;
    if (box.current.scrollTop !== state.ours) {
      box.current.scrollTop = state.ours;
      state.scroll = box.current.scrollTop;
    }
  });

  const from = Math.max(0, Math.floor(state.top / state.row) - SPARE);
  const to = Math.min(source.count - 1, Math.ceil((state.top + state.height) / state.row) + SPARE);
  useEffect(() => {
    if (source.ready && !source.error) source.want(from, to);
  });

  const rows = [];
  for (let index = from; index <= to; index += 1) {
    const line = source.line(index);
    rows.push(html`<${Row} key=${line ? line.id : `empty-${index}`} line=${line} index=${index} count=${source.count}
      top=${index * state.row - state.top + state.scroll} chosen=${line && line.id === chosen}
      onChoose=${onChoose} onOpen=${onOpen} test=${test} />`);
  }
  return html`<div class="log" ref=${box} role="listbox" aria-label="Log lines" tabindex="0"
      aria-activedescendant=${chosen ? `line-${chosen}` : null} onScroll=${onScroll} onKeyDown=${view.onKey}>
    <div class="line probe" ref=${probe} aria-hidden="true"><span>0</span></div>
    <div class="space" role="presentation" style=${{ height: `${tall()}px` }}>${rows}</div></div>`;
}

function Row({ line, index, count, top, chosen, onChoose, onOpen, test }) {
  const style = { transform: `translateY(${top}px)` };
  if (!line) {
    return html`<div class="line empty" role="presentation" style=${style}>
      <span>${line === null ? "no longer kept" : "…"}</span></div>`;
  }
  return html`<div class="line ${line.level} ${chosen ? "chosen" : ""}" id="line-${line.id}" role="option"
      aria-selected=${chosen ? "true" : "false"} aria-setsize=${count} aria-posinset=${index + 1} style=${style}
      onClick=${() => (chosen ? onOpen(line) : onChoose(line))}>
    <span class="dim when">${clock(line.at)}</span><span class="level">${line.level}</span>
    <span class="dim from">${line.source}</span><span class="text"><${Marked} text=${line.text} test=${test} /></span></div>`;
}
