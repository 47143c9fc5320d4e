// Moving through results by keyboard: j/k or arrows, Enter opens (they are links), Escape clears.

const box = document.getElementById("q");
const links = () => [...document.querySelectorAll(".result-link")];

function move(step) {
  const all = links();
  if (!all.length) return false;
  const at = all.indexOf(document.activeElement);
  if (at === 0 && step < 0) {
    box.focus();
    return true;
  }
  const next = all[Math.min(all.length - 1, Math.max(0, at === -1 ? 0 : at + step))];
  next.focus();
  next.closest(".result").scrollIntoView({ block: "nearest" });
  return true;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const inBox = event.target === box;
  if (event.key === "Escape" && (inBox || document.activeElement?.matches(".result-link"))) {
    event.preventDefault();
    box.value = "";
    box.focus();
    return;
  }
  if (inBox ? event.key !== "ArrowDown" : event.target.closest?.("input, textarea, select")) return;
  const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  const onResult = document.activeElement?.matches(".result-link");
  if (step && (inBox || onResult || event.key === "j" || event.key === "k") && move(step)) event.preventDefault();
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  if (detail.target.id !== "results") return;
  const query = new URLSearchParams(location.search).get("q") || "";
  document.title = `${query || "Search"} · Cybernetic`;
  document.getElementById("announce").textContent = document.getElementById("tally")?.textContent.replace(/\s+/g, " ").trim() || "";
});
