// Streamed answers over POST /v1/chat, their citations, and the conversation history.

import { Problem, call, callJson } from "./api.js";
import { ago, confirmAction, el, icon, toast } from "./dom.js";
import { render } from "./markdown.js";
import { readEvents } from "./sse.js";

const byId = (id) => document.getElementById(id);
const root = byId("chat");
const log = byId("log");
const messages = byId("messages");
const form = byId("composer");
const box = byId("message");
const sendButton = byId("send");
const stopButton = byId("stop");
const status = byId("chat-status");
const sourcesPanel = byId("sources");
const popover = byId("cite");
const historyPanel = byId("history");
const historyList = byId("history-list");
const welcome = byId("welcome");

const MODES = { llm: "Answered by a model", extractive: "Quoted passages", not_found: "Nothing found" };
const MODE_TONES = { llm: "accent", extractive: "info", not_found: "warn" };

let conversationId = new URLSearchParams(location.search).get("c");
let running = null;

const documentHref = (place) => {
  const base = root.dataset.documentUrl.replace("00000000-0000-0000-0000-000000000000", encodeURIComponent(place.document_id));
  const range = place.chunk || place;
  return Number.isInteger(range.start) ? `${base}#c${range.start}-${range.end}` : base;
};
const nearBottom = () => log.scrollHeight - log.scrollTop - log.clientHeight < 120;
const toBottom = () => { log.scrollTop = log.scrollHeight; };

// --- One answer on the page -------------------------------------------------------------------------------------------

class Answer {
  constructor() {
    this.text = "";
    this.sources = [];
    this.citations = [];
    this.mode = "";
    this.label = el("span", { class: "badge" });
    this.label.hidden = true;
    this.body = el("div", { class: "prose" });
    this.waiting = el("p", { class: "thinking" }, el("span", { class: "spinner" }), el("span", {}, "Looking through your content…"));
    this.extra = el("div");
    this.foot = el("div", { class: "msg-foot" });
    this.foot.hidden = true;
    this.inlineSources = el("div", { class: "msg-sources" });
    this.node = el("article", { class: "msg assistant" }, el("div", { class: "who" }, el("img", { src: root.dataset.logo, alt: "" }), el("strong", {}, "Cybernetic"), this.label), this.waiting, this.body, this.extra, this.foot, this.inlineSources);
  }

  setSources(sources) {
    this.sources = sources;
    if (this.waiting.isConnected) this.waiting.lastElementChild.textContent = `Reading ${sources.length} passage${sources.length === 1 ? "" : "s"}…`;
    showSources(this);
  }

  add(text) {
    this.text += text;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.draw(true);
    });
  }

  draw(live) {
    const follow = nearBottom();
    this.waiting.remove();
    this.body.replaceChildren(render(this.text, (n) => this.citeButton(n)));
    if (live) (this.body.lastElementChild || this.body).append(el("span", { class: "cursor" }));
    if (follow) toBottom();
  }

  citeButton(n) {
    if (!this.sources.some((source) => source.n === n) && !this.citations.some((citation) => citation.n === n)) return null;
    return el("button", { class: "cite", type: "button", "aria-label": `Citation ${n}`, "aria-expanded": "false", "aria-haspopup": "dialog", onclick: (event) => openCitation(event.currentTarget, this, n) }, String(n));
  }

  setMode(mode, model) {
    this.mode = mode;
    this.body.classList.toggle("quotes", mode === "extractive");
    if (!MODES[mode]) return;
    this.label.className = `badge ${MODE_TONES[mode]}`;
    this.label.textContent = mode === "llm" && model ? model : MODES[mode];
    this.label.hidden = false;
  }

  finish({ notice } = {}) {
    const follow = nearBottom();
    if (this.frame) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.draw(false);
    if (notice) this.note("info", notice);
    this.foot.replaceChildren(el("button", { class: "btn small ghost", type: "button", onclick: () => this.copy() }, icon("copy"), "Copy"));
    this.foot.hidden = !this.text;
    if (this.sources.length) {
      this.inlineSources.replaceChildren(el("details", {}, el("summary", {}, `${this.sources.length} source${this.sources.length === 1 ? "" : "s"}`), sourceList(this)));
    }
    showSources(this);
    if (follow) toBottom();
  }

  note(kind, text) {
    this.extra.append(el("div", { class: `notice ${kind === "info" ? "" : kind}`, role: kind === "bad" ? "alert" : null }, icon(kind === "info" ? "info" : "alert"), el("div", {}, ...withCode(text))));
  }

  async copy() {
    const sources = this.sources.filter((source) => this.citations.some((citation) => citation.n === source.n)).map((source) => `[${source.n}] ${source.title} ${source.source_uri || ""}`.trim());
    try {
      await navigator.clipboard.writeText([this.text.trim(), ...(sources.length ? ["", ...sources] : [])].join("\n"));
      toast("Answer copied.", "good");
    } catch {
      toast("The browser did not allow copying.", "bad");
    }
  }
}

const withCode = (text) => String(text).split(/(`[^`]+`)/).map((part) => (part.startsWith("`") && part.length > 2 ? el("code", {}, part.slice(1, -1)) : part));

// --- Sources and citations --------------------------------------------------------------------------------------------

function sourceList(answer) {
  const cited = new Set(answer.citations.map((citation) => citation.n));
  return el("ol", { class: "source-list" }, ...answer.sources.map((source) => el("li", {}, el("a", { class: `source${cited.has(source.n) ? " cited" : ""}`, href: documentHref(source), data: { n: source.n } },
    el("span", { class: "n" }, String(source.n)), el("strong", {}, source.title || source.source_uri || "Untitled"),
    el("small", {}, (source.chunk?.heading_path || []).join(" › ") || source.source_uri || "")))));
}

function showSources(answer) {
  sourcesPanel.replaceChildren(answer.sources.length ? sourceList(answer) : el("p", { class: "sources-empty" }, "No passage was close enough to be used."));
}

let opener = null;
function openCitation(button, answer, n) {
  const source = answer.sources.find((item) => item.n === n) || {};
  const quotes = answer.citations.filter((citation) => citation.n === n);
  const places = quotes.length ? quotes : [{ ...source, text: "" }];
  popover.replaceChildren(el("h3", {}, `[${n}] ${source.title || "Source"}`),
    ...((source.chunk?.heading_path || []).length ? [el("p", { class: "small muted" }, source.chunk.heading_path.join(" › "))] : []),
    ...places.flatMap((place) => [
      ...(place.text ? [el("blockquote", {}, place.text)] : []),
      el("p", { class: "row" }, el("a", { href: documentHref({ document_id: source.document_id, ...place }) }, place.text ? "Read it in the document" : "Open the document")),
    ]));
  opener?.setAttribute("aria-expanded", "false");
  opener = button;
  popover.hidePopover();
  popover.showPopover();
  const at = button.getBoundingClientRect();
  const size = popover.getBoundingClientRect();
  popover.style.left = `${Math.max(12, Math.min(at.left - 20, innerWidth - size.width - 12))}px`;
  popover.style.top = `${at.bottom + size.height + 16 < innerHeight ? at.bottom + 8 : Math.max(12, at.top - size.height - 8)}px`;
  button.setAttribute("aria-expanded", "true");
  popover.querySelector("a")?.focus({ preventScroll: true });
  const item = sourcesPanel.querySelector(`[data-n="${n}"]`);
  if (item) {
    item.scrollIntoView({ block: "nearest" });
    item.classList.add("flash");
    setTimeout(() => item.classList.remove("flash"), 1200);
  }
}
popover.addEventListener("toggle", (event) => {
  if (event.newState !== "closed" || !opener) return;
  opener.setAttribute("aria-expanded", "false");
  if (popover.contains(document.activeElement) || document.activeElement === document.body) opener.focus({ preventScroll: true });
  opener = null;
});

// --- Asking -----------------------------------------------------------------------------------------------------------

function busy(on) {
  log.setAttribute("aria-busy", String(on));
  sendButton.hidden = on;
  stopButton.hidden = !on;
}

async function ask(message) {
  welcome?.remove();
  const answer = new Answer();
  messages.append(el("div", { class: "msg user" }, message), answer.node);
  toBottom();
  running = new AbortController();
  busy(true);
  status.textContent = "Answering";
  let closing = null;
  try {
    const body = conversationId ? { message, conversation_id: conversationId } : { message };
    const response = await call("POST", "/v1/chat", { json: body, signal: running.signal, accept: "text/event-stream" });
    for await (const event of readEvents(response)) {
      const data = JSON.parse(event.data);
      if (event.name === "sources") {
        if (data.conversation_id) adopt(data.conversation_id);
        answer.setSources(data.sources);
      } else if (event.name === "delta") answer.add(data.text);
      else if (event.name === "citation") answer.citations.push(data);
      else if (event.name === "done") closing = data;
      else if (event.name === "error") throw new Problem(data.detail || "The answer failed.", { code: data.code });
    }
    if (!closing) throw new Problem("The connection ended before the answer was complete.");
    adopt(closing.conversation_id);
    answer.setMode(closing.mode, closing.model);
    answer.finish(closing);
    status.textContent = `Answer ready: ${MODES[closing.mode] || ""}, ${answer.sources.length} sources.`;
  } catch (error) {
    answer.waiting.remove();
    answer.finish();
    if (error.name === "AbortError") {
      answer.note("warn", "Stopped. What was written so far stays above.");
      status.textContent = "Stopped";
    } else {
      answer.note("bad", error.message);
      answer.extra.append(el("button", { class: "btn small", type: "button", onclick: () => { answer.node.previousElementSibling?.remove(); answer.node.remove(); ask(message); } }, icon("refresh"), "Try again"));
      status.textContent = "The answer failed";
    }
  } finally {
    running = null;
    busy(false);
    loadHistory();
  }
}

function adopt(id) {
  if (!id || id === conversationId) return;
  conversationId = id;
  history.replaceState(null, "", `?c=${encodeURIComponent(id)}`);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = box.value.trim();
  if (!message || running) return;
  box.value = "";
  ask(message);
});
box.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
stopButton.addEventListener("click", () => running?.abort());
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented) return;
  if (historyPanel.classList.contains("open")) toggleHistory(false);
  else if (running && !popover.matches(":popover-open")) running.abort();
});

// --- History ----------------------------------------------------------------------------------------------------------

let next = null;
async function loadHistory(url = "/v1/conversations?limit=30") {
  const older = url === next;
  const page = await callJson("GET", url);
  const rows = page.results.map((item) => el("li", { class: item.id === conversationId ? "current" : null },
    el("a", { href: `?c=${item.id}`, "aria-current": item.id === conversationId ? "page" : null }, el("span", {}, item.title || "Conversation"), el("time", { datetime: item.updated_at }, ago(item.updated_at))),
    el("button", { type: "button", "aria-label": `Delete conversation: ${item.title}`, onclick: () => remove(item) }, icon("trash"))));
  if (older) historyList.append(...rows);
  else historyList.replaceChildren(...(rows.length ? rows : [el("li", { class: "sources-empty" }, "None yet.")]));
  next = page.next ? new URL(page.next, location).pathname + new URL(page.next, location).search : null;
  byId("history-more").hidden = !next;
}
byId("history-more").addEventListener("click", () => loadHistory(next));

async function remove(item) {
  if (!(await confirmAction({ title: "Delete this conversation?", text: `“${item.title}” and its answers will be gone.`, action: "Delete" }))) return;
  await call("DELETE", `/v1/conversations/${item.id}`);
  if (item.id === conversationId) location.assign(location.pathname);
  else await loadHistory();
}

// The sources of a stored answer: its citations, with the titles that their documents have now.
const titles = new Map();
async function cited(citations) {
  const sources = [...new Map(citations.map((citation) => [citation.n, citation])).values()];
  await Promise.all(sources.map(async ({ document_id: id }) => {
    if (titles.has(id)) return;
    titles.set(id, "");
    try {
      const found = await callJson("GET", `/v1/documents/${id}`);
      titles.set(id, found.title || found.uri);
    } catch (error) {
      titles.set(id, error.status === 404 ? "A document that was removed" : "Source");
    }
  }));
  return sources.map((source) => ({ ...source, title: titles.get(source.document_id) || "Source" }));
}

async function loadConversation() {
  let conversation;
  try {
    conversation = await callJson("GET", `/v1/conversations/${conversationId}`);
  } catch (error) {
    toast(error.status === 404 ? "That conversation no longer exists." : error.message, "bad");
    conversationId = null;
    history.replaceState(null, "", location.pathname);
    return;
  }
  welcome?.remove();
  for (const message of conversation.messages) {
    if (message.role === "user") {
      messages.append(el("div", { class: "msg user" }, message.content));
      continue;
    }
    const answer = new Answer();
    answer.text = message.content;
    answer.citations = message.citations || [];
    answer.sources = await cited(answer.citations);
    answer.setMode(message.mode, message.model);
    answer.finish();
    messages.append(answer.node);
  }
  toBottom();
}

function toggleHistory(open) {
  historyPanel.classList.toggle("open", open);
  byId("history-toggle").setAttribute("aria-expanded", String(open));
  if (open) byId("new-chat").focus();
  else byId("history-toggle").focus();
}
byId("history-toggle").addEventListener("click", () => toggleHistory(!historyPanel.classList.contains("open")));
document.addEventListener("click", (event) => {
  if (historyPanel.classList.contains("open") && !historyPanel.contains(event.target) && !byId("history-toggle").contains(event.target) && !event.target.closest("dialog")) toggleHistory(false);
});

if (conversationId) await loadConversation();
const asked = new URLSearchParams(location.search).get("q");
if (asked && !conversationId) box.value = asked;
await loadHistory();
