// The page's one live stream: /v1/events for the topics that the page names, resumed after every break.
// Emits on document: "live:event" {name, data} and "live:state" ("open" | "connecting" | "offline").

import { readEvents } from "./sse.js";

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30000;
const SILENCE_MS = 45000;
const HIDDEN_MS = 60000;
const CONTROL = new Set(["connected", "reset", "lagging", "lagged", "heartbeat"]);

class Live {
  #lastId;
  #controller;
  #hiddenTimer;
  #waiting;
  state = "connecting";

  start(topics) {
    this.topics = topics;
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("online", () => this.#wake());
    this.#run();
  }

  // A hidden page gives its connection back: browsers allow six per host over HTTP/1.1, whatever the number of tabs.
  #visibility() {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) {
      this.#hiddenTimer = setTimeout(() => {
        this.parked = true;
        this.#controller?.abort();
      }, HIDDEN_MS);
    } else {
      this.parked = false;
      this.#wake();
    }
  }

  #wake() {
    this.#waiting?.();
  }

  #announce(state) {
    if (state === this.state) return;
    this.state = state;
    document.dispatchEvent(new CustomEvent("live:state", { detail: state }));
  }

  async #run() {
    let failures = 0;
    for (;;) {
      const refused = await this.#session(() => { failures = 0; });
      if (refused) {
        this.#announce("offline");
        return;
      }
      failures += 1;
      this.#announce(failures > 2 ? "offline" : "connecting");
      const pause = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
      await new Promise((resolve) => {
        this.#waiting = resolve;
        if (!this.parked) setTimeout(resolve, pause);
      });
    }
  }

  // One connection, until it breaks. Returns true when the server refused it for good.
  async #session(onOpen) {
    this.#controller = new AbortController();
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => this.#controller.abort(), SILENCE_MS);
    };
    try {
      const headers = { Accept: "text/event-stream" };
      if (this.#lastId) headers["Last-Event-ID"] = this.#lastId;
      const response = await fetch(`/v1/events?topics=${encodeURIComponent(this.topics)}`, { headers, signal: this.#controller.signal, credentials: "same-origin", cache: "no-store" });
      if (!response.ok) return [400, 401, 403, 404].includes(response.status);
      heard();
      const watched = new Response(response.body.pipeThrough(new TransformStream({ transform(chunk, out) { heard(); out.enqueue(chunk); } })));
      onOpen();
      this.#announce("open");
      for await (const event of readEvents(watched)) this.#deliver(event);
    } catch (error) {
      if (!(error instanceof TypeError) && error.name !== "AbortError") throw error;
    } finally {
      clearTimeout(silence);
    }
    return false;
  }

  #deliver({ name, data, id }) {
    if (id) this.#lastId = id;
    let body;
    try {
      body = JSON.parse(data);
    } catch {
      return;
    }
    if (name === "reset") document.dispatchEvent(new CustomEvent("live:reset", { detail: body }));
    if (CONTROL.has(name)) return;
    document.dispatchEvent(new CustomEvent("live:event", { detail: { name, data: body } }));
  }
}

export const live = new Live();

const matches = (pattern, name) => pattern === "*" || pattern === name || (pattern.endsWith(".*") && name.startsWith(pattern.slice(0, -1)));

export function onEvent(patterns, handler) {
  document.addEventListener("live:event", ({ detail }) => {
    if (patterns.some((pattern) => matches(pattern, detail.name))) handler(detail.name, detail.data);
  });
}

// Calls `refresh` soon after something happened, at most once per `everyMs`; polls when the stream is down.
export function throttled(refresh, { everyMs = 1500, pollMs = 5000 } = {}) {
  let last = 0;
  let timer = null;
  const fire = () => {
    timer = null;
    last = Date.now();
    refresh();
  };
  setInterval(() => { if (live.state !== "open" && !document.hidden) fire(); }, pollMs);
  return () => {
    if (timer === null) timer = setTimeout(fire, Math.max(150, everyMs - (Date.now() - last)));
  };
}
