// The little markdown that answers use, built as nodes: text from documents and models is never parsed as HTML.
// Blocks: paragraphs, headings, lists, quotes, fenced code. Inline: code, bold, italic, http links, citations [n].

import { el } from "./dom.js";

const INLINE = /(`[^`\n]+`)|(\*\*[^*\n](?:[^\n]*?[^*\n])?\*\*)|(\*[^*\s](?:[^*\n]*[^*\s])?\*)|(\[\d{1,3}(?:\s*,\s*\d{1,3})*\])|(\[[^\]\n]{1,300}\]\(https?:\/\/[^\s)]+\))/;

function inline(text, cite) {
  const nodes = [];
  let rest = text;
  for (;;) {
    const found = INLINE.exec(rest);
    if (!found) {
      if (rest) nodes.push(rest);
      return nodes;
    }
    if (found.index) nodes.push(rest.slice(0, found.index));
    const [whole, code, bold, italic, citation, link] = found;
    if (code) nodes.push(el("code", {}, code.slice(1, -1)));
    else if (bold) nodes.push(el("strong", {}, ...inline(bold.slice(2, -2), cite)));
    else if (italic) nodes.push(el("em", {}, ...inline(italic.slice(1, -1), cite)));
    else if (citation) nodes.push(...citation.slice(1, -1).split(",").map((n) => cite(Number(n)) ?? `[${n.trim()}]`));
    else {
      const at = link.lastIndexOf("](");
      nodes.push(el("a", { href: link.slice(at + 2, -1), rel: "noopener noreferrer nofollow", target: "_blank" }, link.slice(1, at)));
    }
    rest = rest.slice(found.index + whole.length);
  }
}

function lines(text, cite) {
  return text.split("\n").flatMap((line, index) => [...(index ? [el("br")] : []), ...inline(line, cite)]);
}

const BULLET = /^\s{0,3}[-*+]\s+(.*)$/;
const NUMBERED = /^\s{0,3}(\d{1,3})[.)]\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const FENCE = /^\s{0,3}(```|~~~)/;

const startsBlock = (line) => !line.trim() || FENCE.test(line) || HEADING.test(line) || line.startsWith(">") || BULLET.test(line) || NUMBERED.test(line);

// `cite(n)` returns the node of a citation, or null when the answer has no such source.
export function render(markdown, cite = () => null) {
  const out = document.createDocumentFragment();
  const source = markdown.replace(/\r\n?/g, "\n").split("\n");
  let at = 0;
  while (at < source.length) {
    const line = source[at];
    if (!line.trim()) {
      at += 1;
    } else if (FENCE.test(line)) {
      const mark = FENCE.exec(line)[1];
      const code = [];
      at += 1;
      while (at < source.length && !source[at].trimStart().startsWith(mark)) code.push(source[at++]);
      at += 1;
      out.append(el("pre", { tabindex: "0" }, el("code", {}, code.join("\n"))));
    } else if (HEADING.test(line)) {
      const [, level, text] = HEADING.exec(line);
      out.append(el(level.length < 3 ? "h3" : "h4", {}, ...inline(text, cite)));
      at += 1;
    } else if (line.startsWith(">")) {
      const quote = [];
      while (at < source.length && source[at].startsWith(">")) quote.push(source[at++].replace(/^>\s?/, ""));
      out.append(el("blockquote", {}, render(quote.join("\n"), cite)));
    } else if (BULLET.test(line) || NUMBERED.test(line)) {
      const ordered = NUMBERED.test(line);
      const pattern = ordered ? NUMBERED : BULLET;
      const list = el(ordered ? "ol" : "ul", ordered && Number(pattern.exec(line)[1]) !== 1 ? { start: pattern.exec(line)[1] } : {});
      while (at < source.length && pattern.test(source[at])) {
        const item = [pattern.exec(source[at++]).at(-1)];
        while (at < source.length && !startsBlock(source[at])) item.push(source[at++].trim());
        list.append(el("li", {}, ...lines(item.join("\n"), cite)));
        if (at + 1 < source.length && !source[at].trim() && pattern.test(source[at + 1])) at += 1;
      }
      out.append(list);
    } else {
      const paragraph = [source[at++]];
      while (at < source.length && !startsBlock(source[at])) paragraph.push(source[at++]);
      out.append(el("p", {}, ...lines(paragraph.join("\n"), cite)));
    }
  }
  return out;
}
