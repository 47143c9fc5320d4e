{
  // Contrast of every visible text with what is painted behind it (WCAG 1.4.3); text in SVG against the page it lies on.
  lowContrast() {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (value) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = value;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    };
    const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const behind = (node) => {
      for (let at = node; at; at = at.parentElement) {
        const colour = rgba(getComputedStyle(at).backgroundColor);
        if (colour[3] > 250) return colour;
      }
      return rgba("white");
    };
    const low = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.data.trim();
      const node = walker.currentNode.parentElement;
      if (!text || !node.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      if (node.closest(".sr-only, .skip, template, :disabled")) continue;
      const style = getComputedStyle(node);
      const front = luminance(rgba(node.closest("svg") ? style.fill : style.color));
      const back = luminance(behind(node));
      const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio < (large ? 3 : 4.5)) low.push(`${ratio.toFixed(2)} ${node.className.baseVal ?? node.className} "${text.slice(0, 30)}"`);
    }
    return low;
  },

  // Controls and images that assistive technology could not name (WCAG 1.1.1, 4.1.2).
  unnamed() {
    const controls = "a[href], button, input:not([type=hidden]), textarea, select, summary, dialog, [role=dialog], img, svg[role]";
    const name = (node) => node.getAttribute("aria-label")
      || document.getElementById(node.getAttribute("aria-labelledby"))?.textContent
      || [...(node.labels || [])].map((label) => label.textContent).join("")
      || node.textContent;
    return [...document.querySelectorAll(controls)]
      .filter((node) => node.checkVisibility() && (node.matches("img") ? !node.hasAttribute("alt") : !name(node).trim()))
      .map((node) => node.outerHTML.slice(0, 120));
  },

  shape() {
    const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
    return {
      lang: document.documentElement.lang,
      title: document.title.trim(),
      headings: document.querySelectorAll("h1").length,
      mains: document.querySelectorAll("main").length,
      twice: ids.filter((id, at) => ids.indexOf(id) !== at),
      overflow: document.documentElement.scrollWidth - innerWidth,
    };
  },
}
