// The passage of a deep link (#c<start>-<end>, offsets in characters as the server counts them), marked and in view.

import { onEvent } from "./live.js";

const text = document.getElementById("text");
const note = document.getElementById("target-note");
const root = document.getElementById("document");

// UTF-16 index of the code point number `count`: the server counts characters, JavaScript counts code units.
function unitIndex(string, count) {
  let units = 0;
  for (let seen = 0; seen < count && units < string.length; seen += 1) units += string.codePointAt(units) > 0xffff ? 2 : 1;
  return units;
}

function mark(block, from, to) {
  const node = block.firstChild;
  if (!node) return;
  const range = document.createRange();
  range.setStart(node, unitIndex(node.data, from));
  range.setEnd(node, unitIndex(node.data, to));
  if (range.collapsed) return;
  const target = document.createElement("mark");
  target.className = "target";
  range.surroundContents(target);
}

function show() {
  const found = /^#c(\d+)-(\d+)$/.exec(location.hash);
  if (!text || !found) return;
  for (const old of text.querySelectorAll("mark.target")) {
    const block = old.parentNode;
    old.replaceWith(...old.childNodes);
    block.normalize();
  }
  const [start, end] = [Number(found[1]), Number(found[2])];
  for (const block of text.children) {
    const at = Number(block.dataset.start);
    const length = [...block.textContent].length;
    if (at >= end || at + length <= start) continue;
    mark(block, Math.max(0, start - at), Math.min(length, end - at));
  }
  const target = text.querySelector("mark.target");
  note.hidden = !target;
  if (!target) return;
  target.tabIndex = -1;
  target.scrollIntoView({ block: "center" });
  requestAnimationFrame(() => target.scrollIntoView({ block: "center" }));
  target.focus({ preventScroll: true });
}

addEventListener("hashchange", show);
document.getElementById("target-again")?.addEventListener("click", show);
show();

const mine = (data) => data.document_id === root.dataset.document;
onEvent(["document.advanced"], (name, data) => {
  const bar = document.getElementById("doc-progress");
  if (!mine(data) || !bar) return;
  bar.value = data.progress;
  document.getElementById("doc-stage").textContent = data.stage;
});
onEvent(["document.indexed", "document.failed", "document.removed"], (name, data) => {
  if (mine(data)) setTimeout(() => location.reload(), 300);
});
