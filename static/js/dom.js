// Small helpers for building nodes. Text always enters as text, never as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";
const sprite = document.getElementById("icon-close")?.content.querySelector("use")?.getAttribute("href")?.split("#")[0] || "/static/img/icons.svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

export function toast(text, kind = "") {
  const holder = document.getElementById("toasts");
  const note = el("div", { class: `toast ${kind}` }, el("span", {}, text), el("button", { type: "button", "aria-label": "Dismiss", onclick: () => note.remove() }, icon("close")));
  holder.append(note);
  while (holder.children.length > 4) holder.firstElementChild.remove();
  setTimeout(() => note.remove(), kind === "bad" ? 12000 : 6000);
}

// Resolves to true when the person confirms.
export function confirmAction({ title, text, action = "Remove" }) {
  const dialog = document.getElementById("confirm");
  document.getElementById("confirm-title").textContent = title;
  document.getElementById("confirm-text").textContent = text;
  document.getElementById("confirm-yes").textContent = action;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];
export function ago(moment) {
  const seconds = (Date.now() - new Date(moment).getTime()) / 1000;
  if (seconds < 45) return "just now";
  for (const [size, name] of UNITS) {
    if (seconds >= size) {
      const count = Math.floor(seconds / size);
      return `${count} ${name}${count === 1 ? "" : "s"} ago`;
    }
  }
  return "1 minute ago";
}
