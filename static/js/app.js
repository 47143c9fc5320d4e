// On every page: the live indicator, keyboard, menus, forms that ask first, and errors of htmx requests.

import { Problem, csrfToken } from "./api.js";
import { ago, confirmAction, el, toast } from "./dom.js";
import { live } from "./live.js";

const indicator = document.getElementById("live");
const WORDS = { open: "Live", connecting: "Connecting", offline: "Offline" };
document.addEventListener("live:state", ({ detail }) => {
  indicator.dataset.state = detail;
  indicator.firstElementChild.textContent = WORDS[detail];
  indicator.title = `Live updates: ${WORDS[detail].toLowerCase()}${detail === "offline" ? "; the page asks the server every few seconds instead" : ""}`;
});
if (document.body.dataset.topics) live.start(document.body.dataset.topics);

// Keyboard
const shortcuts = document.getElementById("shortcuts");
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape") {
    document.querySelectorAll("details[data-menu][open]").forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    return;
  }
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    const box = document.querySelector("[data-hotkey]");
    if (!box) return;
    event.preventDefault();
    box.focus();
    box.select?.();
  } else if (event.key === "?") {
    shortcuts.showModal();
  }
});
document.querySelectorAll("[data-shortcuts]").forEach((button) => button.addEventListener("click", () => shortcuts.showModal()));
addEventListener("click", (event) => {
  document.querySelectorAll("details[data-menu][open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
});

// Forms that remove something ask first; without scripts the server asks on a page of its own.
addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.confirm || form.dataset.confirmed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (await confirmAction({ title: form.dataset.confirm, text: form.dataset.confirmText || "", action: form.dataset.confirmAction })) {
    if (!form.elements.confirmed) form.append(el("input", { type: "hidden", name: "confirmed", value: "1" }));
    form.dataset.confirmed = "1";
    form.requestSubmit();
    delete form.dataset.confirmed;
  }
}, true);

// htmx
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.verb !== "get") detail.headers["X-CSRFToken"] = csrfToken();
});
document.addEventListener("htmx:responseError", ({ detail }) => {
  const { xhr } = detail;
  if ((xhr.getResponseHeader("Content-Type") || "").includes("json")) {
    const body = JSON.parse(xhr.responseText);
    toast(body.detail || body.title, "bad");
  } else {
    toast(xhr.status === 403 ? "Your role does not allow this." : `The server answered ${xhr.status}. Try again.`, "bad");
  }
});
document.addEventListener("htmx:sendError", () => toast("The server cannot be reached. Check your connection and try again.", "bad"));
document.addEventListener("toast", ({ detail }) => toast(detail.text, detail.kind));

addEventListener("unhandledrejection", ({ reason }) => { if (reason instanceof Problem) toast(reason.message, "bad"); });
setInterval(() => document.querySelectorAll("time[datetime]").forEach((node) => { node.textContent = ago(node.dateTime); }), 30000);
document.querySelectorAll("#toasts .toast").forEach((note) => setTimeout(() => note.remove(), 8000));
