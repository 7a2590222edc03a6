// Carries OpenCode's event streams over one WebSocket, where the way in holds back
// server-sent events (quick tunnels do), and makes them survive sleep and lost networks.
//
// The gateway puts this script first into OpenCode's page. It replaces `fetch` and
// `EventSource` for the known event streams only; to the page nothing has changed: the
// stream it was given goes on where it stopped, however often the WebSocket is replaced.
// Each event has a number; we name the last one we have, and the gateway sends what
// follows, so nothing is missing and nothing comes twice. When that cannot be had any more
// (slept too long), the page is loaded anew, for OpenCode's page does not ask again for the
// messages of an open conversation (read in 1.18.33).
//
// What is said on the WebSocket: nexus_tray/gateway/bridge_socket.py.
(() => {
  "use strict";

  const SOCKET = "/_nexus/events";
  const STREAMS = /^(\/event|\/global\/event|\/api\/event|\/api\/session\/[A-Za-z0-9_-]+\/event)$/;
  const MESSAGES = /^(\/api)?\/session\/[^/]+\/message/;
  const QUIET_MS = 25_000; // the gateway speaks every 10 s
  const WAKE_QUIET_MS = 12_000;
  const ANSWER_MS = 3_000;
  const MAX_WAIT_MS = 8_000;
  const PARK_MS = 2_000;
  const RELOAD_MS = 60_000;

  const nativeFetch = window.fetch.bind(window);
  const NativeEventSource = window.EventSource;
  const decoder = new TextDecoder();

  /** Streams the page reads now, by our number for them. */
  const streams = new Map();
  /** Streams the page let go of a moment ago, by target: taken up again if it asks again. */
  const parked = new Map();
  let lastNumber = 0;
  let socket = null;
  let heardAt = 0;
  let failures = 0;
  let timer = 0;
  let away = false;
  let caughtUp = [];

  // --- the WebSocket -------------------------------------------------------------------

  function connect() {
    clearTimeout(timer);
    if (socket || streams.size === 0) return;
    const mine = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${SOCKET}`);
    socket = mine;
    heardAt = Date.now();
    mine.binaryType = "arraybuffer";
    mine.onopen = () => {
      failures = 0;
      heardAt = Date.now();
      for (const stream of streams.values()) ask(stream);
    };
    mine.onmessage = ({ data }) => {
      heardAt = Date.now();
      if (typeof data === "string") obey(JSON.parse(data));
      else deliver(new Uint8Array(data));
    };
    mine.onclose = () => {
      if (socket === mine) lost();
    };
  }

  function lost() {
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      socket = null;
    }
    for (const stream of streams.values()) stream.behind = stream.key !== null;
    failures += 1;
    if (failures % 3 === 0) checkSignIn();
    const wait = Math.min(MAX_WAIT_MS, 250 * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
    clearTimeout(timer);
    timer = setTimeout(connect, wait);
  }

  /** A refused WebSocket does not say why; an ended session is told by any other request. */
  async function checkSignIn() {
    const answer = await nativeFetch("/global/health").catch(() => null);
    if (answer?.status === 401) location.reload();
  }

  /** The network or the phone came back: find out at once whether the connection did too. */
  function wake() {
    if (streams.size === 0) return;
    failures = 0;
    if (!socket) return connect();
    if (Date.now() - heardAt > WAKE_QUIET_MS) {
      lost();
      return connect();
    }
    const mine = socket;
    const askedAt = Date.now();
    say({ t: "ping" });
    setTimeout(() => {
      if (socket === mine && heardAt < askedAt) {
        lost();
        connect();
      }
    }, ANSWER_MS);
  }

  function say(message) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  }

  function ask(stream) {
    if (stream.key) say({ t: "resume", s: stream.number, key: stream.key, after: stream.after });
    else say({ t: "open", s: stream.number, target: stream.target, headers: stream.headers });
  }

  setInterval(() => {
    if (socket && Date.now() - heardAt > QUIET_MS) {
      lost();
      connect();
    }
  }, 5_000);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") wake();
  });
  document.addEventListener("resume", wake);
  window.addEventListener("online", wake);
  window.addEventListener("pagehide", (event) => {
    away = true;
    if (event.persisted) return; // may come back from the back/forward cache: keep all
    for (const [s, { key }] of streams) say(key ? { t: "forget", key } : { t: "forget", s });
    for (const { key } of parked.values()) if (key) say({ t: "forget", key });
  });
  window.addEventListener("pageshow", () => {
    away = false;
    for (const stream of parked.values()) park(stream);
    wake();
  });

  // --- what the gateway says -----------------------------------------------------------

  function obey(message) {
    const stream = streams.get(message.s);
    if (!stream) {
      if (message.t === "opened") say({ t: "forget", key: message.key }); // let go of meanwhile
    } else if (message.t === "opened") {
      stream.key = message.key;
      stream.answer(200);
    } else if (message.t === "refused") {
      stream.answer(message.status);
      finish(stream);
    } else if (message.t === "live") {
      stream.behind = false;
      releaseCaughtUp();
    } else if (message.t === "ended") {
      finish(stream);
    } else if (message.t === "gone") {
      finish(stream);
      beginAgain();
    }
  }

  function deliver(frame) {
    const cut = frame.indexOf(10);
    const [number, id] = decoder.decode(frame.subarray(0, cut)).split(" ").map(Number);
    const stream = streams.get(number);
    if (!stream || id <= stream.after) return;
    stream.after = id;
    stream.controller.enqueue(frame.subarray(cut + 1));
  }

  /** The stream ends for the page as if OpenCode had closed it; the page asks again. */
  function finish(stream) {
    streams.delete(stream.number);
    releaseCaughtUp();
    try {
      stream.controller.close();
    } catch {
      // the page had cancelled it in the same moment
    }
  }

  /** Events are lost for good. At most once a minute, so that no fault makes a loop of it. */
  function beginAgain() {
    const last = Number(sessionStorage.getItem("nexus-reloaded-at") || 0);
    if (Math.abs(Date.now() - last) < RELOAD_MS) return;
    sessionStorage.setItem("nexus-reloaded-at", String(Date.now()));
    location.reload();
  }

  // --- what the page sees --------------------------------------------------------------

  /** Answer a request of the page for an event stream. */
  function open(request, target) {
    return new Promise((resolve, reject) => {
      const signal = request.signal;
      if (signal.aborted) return reject(signal.reason);
      const known = parked.get(target);
      parked.delete(target);
      clearTimeout(known?.parkTimer);
      const stream = { number: ++lastNumber, target, key: known?.key ?? null, after: known?.after ?? 0 };
      stream.headers = Object.fromEntries(
        ["x-opencode-directory", "x-opencode-workspace", "last-event-id"]
          .filter((name) => request.headers.has(name))
          .map((name) => [name, request.headers.get(name)]),
      );
      stream.behind = known !== undefined;
      const leave = () => streams.delete(stream.number) && park(stream);
      const body = new ReadableStream({
        start: (controller) => (stream.controller = controller),
        cancel: leave,
      });
      stream.answer = (status) => {
        const headers = { "content-type": "text/event-stream", "cache-control": "no-cache" };
        resolve(status === 200 ? new Response(body, { headers }) : new Response(null, { status }));
      };
      signal.addEventListener("abort", () => {
        if (!leave()) return;
        stream.controller.error(signal.reason);
        reject(signal.reason);
      });
      streams.set(stream.number, stream);
      if (stream.key) stream.answer(200);
      if (socket?.readyState === WebSocket.OPEN) ask(stream);
      else connect();
    });
  }

  /**
   * The page let go of a stream. It does so before it asks again (its own heartbeat rule, or
   * coming back from the back/forward cache), so the stream is kept for a moment.
   */
  function park(stream) {
    releaseCaughtUp();
    clearTimeout(stream.parkTimer);
    say({ t: "leave", s: stream.number });
    if (stream.key === null) return true;
    parked.set(stream.target, stream);
    stream.parkTimer = setTimeout(() => {
      if (away || parked.get(stream.target) !== stream) return;
      parked.delete(stream.target);
      say({ t: "forget", key: stream.key });
    }, PARK_MS);
    return true;
  }

  /** While a stream catches up, what the page asks about messages must not overtake it. */
  function whenCaughtUp() {
    if (![...streams.values()].some((stream) => stream.behind)) return null;
    return new Promise((resolve) => {
      caughtUp.push(resolve);
      setTimeout(resolve, ANSWER_MS);
    });
  }

  function releaseCaughtUp() {
    if ([...streams.values()].some((stream) => stream.behind)) return;
    for (const resolve of caughtUp.splice(0)) resolve();
  }

  window.fetch = async function fetch(input, init) {
    const address = new URL(input instanceof Request ? input.url : input, location.href);
    const method = (init?.method ?? (input instanceof Request ? input.method : "GET")).toUpperCase();
    if (address.origin !== location.origin || method !== "GET") return nativeFetch(input, init);
    if (STREAMS.test(address.pathname)) {
      return open(new Request(input, init), address.pathname + address.search);
    }
    if (MESSAGES.test(address.pathname)) await whenCaughtUp();
    return nativeFetch(input, init);
  };

  /** EventSource (WHATWG HTML, 9.2) over the fetch above, for the known streams. */
  class BridgedEventSource extends EventTarget {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSED = 2;
    CONNECTING = 0;
    OPEN = 1;
    CLOSED = 2;
    readyState = 0;
    onopen = null;
    onmessage = null;
    onerror = null;
    #abort = new AbortController();
    #lastEventId = "";

    constructor(address) {
      super();
      this.url = new URL(address, location.href).href;
      this.withCredentials = false;
      this.#run();
    }

    close() {
      this.readyState = 2;
      this.#abort.abort();
    }

    async #run() {
      while (this.readyState !== 2) {
        try {
          const headers = this.#lastEventId ? { "last-event-id": this.#lastEventId } : {};
          const answer = await window.fetch(this.url, { headers, signal: this.#abort.signal });
          if (!answer.ok) {
            this.close();
            this.#emit(new Event("error"));
            return;
          }
          this.readyState = 1;
          this.#emit(new Event("open"));
          await this.#read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
        } catch (error) {
          if (this.readyState === 2) return;
          console.warn("event stream broke off", error);
        }
        if (this.readyState === 2) return;
        this.readyState = 0;
        this.#emit(new Event("error"));
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }

    async #read(reader) {
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const blocks = (text + value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) this.#dispatch(block);
      }
    }

    #dispatch(block) {
      const data = [];
      let type = "message";
      for (const line of block.split("\n")) {
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
        if (name === "data") data.push(value);
        else if (name === "event") type = value || "message";
        else if (name === "id") this.#lastEventId = value;
      }
      if (data.length === 0) return;
      const init = { data: data.join("\n"), lastEventId: this.#lastEventId, origin: location.origin };
      this.#emit(new MessageEvent(type, init));
    }

    #emit(event) {
      this.dispatchEvent(event);
      if (event.type === "message" || event.type === "open" || event.type === "error") {
        this[`on${event.type}`]?.call(this, event);
      }
    }
  }

  window.EventSource = new Proxy(NativeEventSource, {
    construct(target, [address, init]) {
      const { origin, pathname } = new URL(address, location.href);
      const ours = origin === location.origin && STREAMS.test(pathname);
      return ours ? new BridgedEventSource(address) : new target(address, init);
    },
  });
})();
