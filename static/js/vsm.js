// The picture follows system.state events; the ticker shows everything that happens.

import { ago, el } from "./dom.js";
import { onEvent, throttled } from "./live.js";

const KEEP = 80;
const ticker = document.getElementById("ticker");
const pause = document.getElementById("ticker-pause");
const changed = new Set();
let held = false;

const refresh = (id) => {
  const node = document.getElementById(id);
  if (document.hidden || document.querySelector("dialog[open]")) return;
  window.htmx.ajax("GET", node.dataset.refresh, { source: node, target: node, swap: "innerHTML" });
};
const soonPicture = throttled(() => refresh("picture"), { everyMs: 1500, pollMs: 10000 });
const soonEpisodes = throttled(() => refresh("episodes"), { everyMs: 2000, pollMs: 10000 });

onEvent(["system.state"], (name, data) => {
  changed.add(`sys-${data.system}`);
  soonPicture();
});
onEvent(["episode.*", "policy.*", "intervention.*", "source.paused", "source.resumed"], () => soonEpisodes());
document.addEventListener("live:reset", () => { soonPicture(); soonEpisodes(); });
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "picture") return;
  changed.forEach((id) => document.getElementById(id)?.classList.add("changed"));
  changed.clear();
});

// Which details the reader opened or closed survives a refresh.
const toggled = new Map();
document.addEventListener("toggle", ({ target }) => { if (target.matches?.(".episode")) toggled.set(target.id, target.open); }, true);
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.id === "episodes") detail.target.querySelectorAll(".episode").forEach((node) => toggled.set(node.id, node.open));
});
document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id === "episodes") toggled.forEach((open, id) => { const node = document.getElementById(id); if (node) node.open = open; });
});

const TONES = [
  [/failed$|\.error$/, "bad"],
  [/paused$|held$|^rule\.|^episode\.created/, "warn"],
  [/indexed$|completed$|resumed$|resolved$|reverted$/, "good"],
  [/^episode\.|^policy\.|^intervention\./, "info"],
];
const toneOf = (name) => TONES.find(([pattern]) => pattern.test(name))?.[1] || "";

function sentence(data) {
  const parts = [];
  if (data.title) parts.push(data.title);
  if (data.system) parts.push(`S${data.system} ${data.state}`);
  if (data.summary) parts.push(data.summary);
  if (data.outcome) parts.push(`${data.outcome} ${data.action || ""}`);
  else if (data.action) parts.push(data.action);
  if (data.stage) parts.push(data.stage);
  if (data.code) parts.push(data.code);
  if (data.reason) parts.push(data.reason);
  if (data.url) parts.push(data.url);
  if (Number.isInteger(data.chunk_count)) parts.push(`${data.chunk_count} passage${data.chunk_count === 1 ? "" : "s"}`);
  if (Number.isInteger(data.indexed)) parts.push(`${data.indexed} indexed, ${data.failed} failed`);
  if (Number.isInteger(data.citation_count)) parts.push(`${data.mode}, ${data.citation_count} citations`);
  const text = parts.join(" · ").trim();
  return text.length > 180 ? `${text.slice(0, 179)}…` : text;
}

onEvent(["*"], (name, data) => {
  if (held) return;
  ticker.querySelector(".tick-none")?.remove();
  const at = data.timestamp || new Date().toISOString();
  const top = ticker.firstElementChild;
  // A document's steps share one line, so that a busy ingest does not wash everything else away.
  if (name === "document.advanced" && top?.dataset.document === data.document_id) top.remove();
  ticker.prepend(el("li", { class: `tick new ${toneOf(name)}`, data: data.document_id ? { document: data.document_id } : {} },
    el("span", { class: "tick-name" }, name), el("time", { datetime: at }, ago(at)), el("span", { class: "tick-text" }, sentence(data))));
  while (ticker.children.length > KEEP) ticker.lastElementChild.remove();
});

pause.addEventListener("click", () => {
  held = !held;
  pause.setAttribute("aria-pressed", String(held));
  pause.lastChild.textContent = held ? "Go on" : "Pause";
});

const target = location.hash.startsWith("#episode-") && document.getElementById(location.hash.slice(1));
if (target) {
  target.open = true;
  target.scrollIntoView({ block: "start" });
}
