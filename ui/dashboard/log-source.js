// Where the log list gets its lines: pages of the log store, fetched when they come in sight.
//
// Ids are consecutive, so without a filter a place in the list *is* an id, and any of a
// million lines is one request away. With a filter nobody knows how many match: pages are
// fetched backwards as they are scrolled to, and the list grows at its older end.

import { get, query } from "/api.js";

const PAGE = 400;
const KEPT_PAGES = 60; // some 24,000 lines in memory
const KEPT_MATCHES = 60_000;
const LONG_POLL = 20;
const AGAIN_MS = 1500; // after a failure
const REST_MS = 150; // between two polls, so that a flood of lines is drawn in gulps

/** A source: `count` rows; `line(index)` or undefined while it is fetched; `older` is true
 *  while more may be fetched before the first. `changed(shift)` is called after each change;
 *  `shift` rows were added before the first. */
class Source {
  constructor(filters, changed) {
    this.filters = filters;
    this.changed = (shift) => this.gone.signal.aborted || changed(shift);
    this.gone = new AbortController();
    this.last = 0;
    this.error = null;
    this.trouble = null; // why lines are being lost just now
    this.ready = false;
  }

  ask(more) {
    return get(`/logs${query({ ...this.filters, ...more })}`, this.gone.signal);
  }

  async start() {
    while (!this.gone.signal.aborted && !await this.guarded(() => this.first().then(() => true))) {
      if (this.hopeless) {
        this.ready = true;
        return;
      }
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
    this.ready = true;
    this.changed(0);
    this.follow();
  }

  /** New lines as they come. */
  async follow() {
    while (!this.gone.signal.aborted) {
      const page = await this.guarded(() => this.ask({ after: this.last, limit: 1000, timeout: LONG_POLL }));
      if (page && !this.gone.signal.aborted) this.take(page);
      if (page && page.trouble?.what !== this.trouble?.what) {
        this.trouble = page.trouble;
        this.changed(0);
      }
      if (this.hopeless) return;
      await new Promise((done) => setTimeout(done, page ? REST_MS : AGAIN_MS));
    }
  }

  /** Refused, as a malformed pattern is: asking again would not help. */
  get hopeless() {
    return this.error?.status >= 400 && this.error.status < 500 && this.error.reason.code !== "log-query-slow";
  }

  /** Errors are shown above the list; the next success takes them away. */
  async guarded(action) {
    try {
      const value = await action();
      if (this.error) {
        this.error = null;
        this.changed(0);
      }
      return value;
    } catch (error) {
      if (error.name !== "AbortError") {
        this.error = error;
        this.changed(0);
      }
      return undefined;
    }
  }

  close() {
    this.gone.abort();
  }
}

/** Every line there is. */
export class Everything extends Source {
  async first() {
    const newest = await this.ask({ limit: PAGE });
    const [oldest] = (await this.ask({ after: 0, limit: 1 })).lines;
    this.last = newest.last_id;
    this.begin = oldest ? oldest.id : this.last + 1;
    this.pages = new Map();
    this.asked = new Set();
    this.keep(newest.lines);
  }

  get count() {
    return this.ready && this.pages ? this.last - this.begin + 1 : 0;
  }

  get older() {
    return false;
  }

  line(index) {
    const id = this.begin + index;
    const found = this.pages.get(Math.floor(id / PAGE))?.get(id);
    return found || (this.asked.has(id) ? null : undefined);
  }

  indexOf(id) {
    return Math.min(Math.max(id - this.begin, 0), this.count - 1);
  }

  /** Fetch what of these rows is not there yet. */
  async want(from, to) {
    for (let page = Math.floor((this.begin + from) / PAGE); page * PAGE <= this.begin + to; page += 1) {
      if (!this.fetching?.has(page) && this.lacks(page, from, to)) await this.fetch(page);
    }
  }

  lacks(page, from, to) {
    const first = Math.max(page * PAGE, this.begin + from);
    const end = Math.min(page * PAGE + PAGE - 1, this.begin + to, this.last);
    for (let id = first; id <= end; id += 1) {
      if (!this.pages.get(page)?.has(id) && !this.asked.has(id)) return true;
    }
    return false;
  }

  async fetch(page) {
    this.fetching = (this.fetching || new Set()).add(page);
    const after = Math.max(0, page * PAGE - 1);
    const found = await this.guarded(() => this.ask({ after, limit: PAGE }));
    this.fetching.delete(page);
    if (!found) return;
    this.keep(found.lines.filter((line) => line.id < page * PAGE + PAGE));
    // What was asked for and is not there has been trimmed away; do not ask again.
    for (let id = after + 1; id < page * PAGE + PAGE && id <= this.last; id += 1) {
      if (!this.pages.get(page)?.has(id)) this.asked.add(id);
    }
    this.changed(0);
  }

  keep(lines) {
    for (const line of lines) {
      const page = Math.floor(line.id / PAGE);
      if (!this.pages.has(page)) this.pages.set(page, new Map());
      this.pages.get(page).set(line.id, line);
    }
    while (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
  }

  take(page) {
    if (page.last_id < this.last) {
      this.guarded(() => this.first()).then(() => this.changed(0)); // another log began
      return;
    }
    if (page.last_id === this.last) return;
    this.keep(page.lines);
    this.last = page.lines.length ? page.lines.at(-1).id : page.last_id;
    this.changed(0);
  }
}

/** The lines that pass the filters. */
export class Matches extends Source {
  async first() {
    const page = await this.ask({ limit: PAGE });
    this.lines = page.lines;
    this.last = page.last_id;
    this.older = page.more;
  }

  get count() {
    return this.ready && this.lines ? this.lines.length : 0;
  }

  line(index) {
    return this.lines[index];
  }

  indexOf(id) {
    const at = this.lines.findIndex((line) => line.id >= id);
    return at < 0 ? this.lines.length - 1 : at;
  }

  async want(from) {
    if (from > PAGE / 4 || !this.older || this.busy) return;
    this.busy = true;
    const before = this.lines[0]?.id ?? this.last + 1;
    const page = await this.guarded(() => this.ask({ before, limit: PAGE * 2 }));
    this.busy = false;
    if (!page) {
      this.older = this.error?.reason?.code !== "log-query-slow";
      return;
    }
    this.lines = [...page.lines, ...this.lines];
    this.older = page.more && page.lines.length > 0;
    this.changed(page.lines.length);
  }

  /** Have the line of this id, or the first after it: fetch back to it. */
  async reach(id) {
    while (this.older && (this.lines[0]?.id ?? 0) > id && !this.gone.signal.aborted) await this.want(0);
  }

  take(page) {
    if (page.last_id < this.last) {
      this.guarded(() => this.first()).then(() => this.changed(0));
      return;
    }
    this.last = page.last_id;
    if (!page.lines.length) return;
    let lines = [...this.lines, ...page.lines];
    let shift = 0;
    if (lines.length > KEPT_MATCHES) {
      shift = KEPT_MATCHES - lines.length;
      lines = lines.slice(-KEPT_MATCHES);
      this.older = true;
    }
    this.lines = lines;
    this.changed(shift);
  }
}
