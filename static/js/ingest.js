// Adding content, and its progress: events move the bars at once, fragments of the page follow within seconds.

import { Problem, call, csrfToken, problemOf } from "./api.js";
import { el, toast } from "./dom.js";
import { onEvent, throttled } from "./live.js";

const PARALLEL = 3;
const byId = (id) => document.getElementById(id);
const cssId = (id) => CSS.escape(String(id));

// --- Refreshing -------------------------------------------------------------------------------------------------------

const refresh = (id) => {
  const node = byId(id);
  if (document.querySelector("dialog[open]") || document.hidden || !node) return;
  window.htmx.ajax("GET", node.querySelector("[data-refresh]").dataset.refresh, { source: node, target: node, swap: "innerHTML" });
};
const soonRuns = throttled(() => refresh("runs"));
const soonSources = throttled(() => refresh("sources"), { everyMs: 3000, pollMs: 10000 });
const soonDocuments = throttled(() => refresh("documents"), { everyMs: 2500 });

onEvent(["document.advanced"], (name, data) => {
  const row = document.querySelector(`tr[data-document="${cssId(data.document_id)}"]`);
  const bar = row?.querySelector("[data-progress]");
  if (bar) {
    bar.value = data.progress;
    row.querySelector("[data-stage]").textContent = data.stage.charAt(0).toUpperCase() + data.stage.slice(1);
  } else if (!row) soonDocuments();
});
onEvent(["document.indexed", "document.failed", "document.removed", "ingest.started", "ingest.completed"], () => {
  soonRuns();
  soonDocuments();
});
onEvent(["ingest.started", "source.paused", "source.resumed"], () => soonSources());
onEvent(["source.paused", "source.resumed"], (name) => {
  soonDocuments();
  if (name === "source.paused") toast("A source was paused. The reason is beside it.", "bad");
});
document.addEventListener("live:reset", () => { soonRuns(); soonDocuments(); soonSources(); });

// --- Uploads ----------------------------------------------------------------------------------------------------------

const uploads = byId("uploads");
const waiting = [];
let active = 0;

function pump() {
  while (active < PARALLEL && waiting.length) {
    active += 1;
    waiting.shift()().finally(() => {
      active -= 1;
      pump();
    });
  }
}

// XMLHttpRequest, because fetch() tells nothing about how much has been sent.
function send(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/ingest");
    request.setRequestHeader("X-CSRFToken", csrfToken());
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); });
    request.addEventListener("load", async () => {
      const response = new Response(request.responseText, { status: request.status, headers: { "Content-Type": request.getResponseHeader("Content-Type") || "" } });
      if (response.ok) resolve(await response.json());
      else reject(await problemOf(response));
    });
    request.addEventListener("error", () => reject(new Problem("The upload was cut off. Check your connection and try again.")));
    const body = new FormData();
    body.append("file", file, file.name);
    request.send(body);
  });
}

function upload(file) {
  const bar = el("progress", { max: "1", value: "0", "aria-label": `Uploading ${file.name}` });
  const state = el("span", { class: "small muted" }, "Waiting");
  const item = el("li", { class: "upload" }, el("span", { title: file.name }, file.name), state, bar);
  uploads.append(item);
  const attempt = async () => {
    state.textContent = "Sending";
    try {
      await send(file, (share) => {
        bar.value = share;
        state.textContent = share < 1 ? `${Math.round(share * 100)}%` : "Storing";
      });
      state.textContent = "Accepted";
      bar.remove();
      setTimeout(() => item.remove(), 4000);
      soonRuns();
      soonDocuments();
      soonSources();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      bar.remove();
      state.textContent = "";
      state.append(el("button", { class: "btn small", type: "button", onclick: () => { item.remove(); upload(file); } }, "Try again"));
      item.append(el("p", { role: "alert" }, error.message));
    }
  };
  waiting.push(attempt);
  pump();
}

const picker = byId("files");
if (picker) {
  picker.addEventListener("change", () => {
    [...picker.files].forEach(upload);
    picker.value = "";
  });

  const zone = byId("drop");
  const veil = byId("drop-all");
  let depth = 0;
  const hasFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    veil.hidden = false;
    zone.classList.add("over");
  });
  const leave = () => {
    depth = 0;
    veil.hidden = true;
    zone.classList.remove("over");
  };
  addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) leave(); });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    leave();
    [...event.dataTransfer.files].forEach(upload);
  });

  const urlForm = byId("url-form");
  const urlBox = byId("url");
  const urlError = byId("url-error");
  urlForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = urlForm.querySelector("button");
    button.disabled = true;
    urlError.textContent = "";
    urlBox.removeAttribute("aria-invalid");
    try {
      await call("POST", "/v1/ingest", { json: { url: urlBox.value.trim() } });
      urlBox.value = "";
      toast("Accepted: the address is being fetched.", "good");
      soonRuns();
      soonDocuments();
      soonSources();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      urlError.textContent = error.message;
      urlBox.setAttribute("aria-invalid", "true");
      urlBox.focus();
    } finally {
      button.disabled = false;
    }
  });
}
