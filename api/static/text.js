// Elements and texts: everything that documents, models and people wrote goes in as text, never as markup.

// el("p", { class: "small" }, "text", child): attributes are set by name, functions are listeners, null is left out.
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const by = (id) => document.getElementById(id);

// The API's offsets count code points, a JavaScript string counts UTF-16 units: the unit at which each offset stands.
export function units(text, ...offsets) {
  const wanted = [...new Set(offsets)].sort((a, b) => a - b);
  const found = new Map();
  let unit = 0;
  let point = 0;
  for (const offset of wanted) {
    while (point < offset && unit < text.length) {
      unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
      point += 1;
    }
    found.set(offset, unit);
  }
  return offsets.map((offset) => found.get(offset));
}

export function slice(text, start, end) {
  const [from, to] = units(text, start, end);
  return text.slice(from, to);
}

// A quote with its decisive words stronger. `focus` is [start, end] in the document, `start` where the quote begins there.
export function quoted(quote, start, focus) {
  if (!focus) return [quote];
  const [from, to] = units(quote, focus[0] - start, focus[1] - start);
  return [quote.slice(0, from), el("strong", {}, quote.slice(from, to)), quote.slice(to)];
}

// Where boxes on a document's pages lie, in words; nothing for a document without pages.
export function pagesOf(boxes = []) {
  const pages = boxes.map(({ page }) => page);
  if (!pages.length) return "";
  const [first, last] = [Math.min(...pages), Math.max(...pages)];
  return first === last ? `page ${first}` : `pages ${first}–${last}`;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

export const percent = (share) => `${Math.round(share * 100)}%`;

export const milliseconds = (value) => (value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`);

// A control that goes away leaves the keyboard's focus with the question, not at the top of the page. Whoever points or
// taps has none to lose, and a phone would bring up its keyboard.
export function handOver(leaving) {
  const focused = document.activeElement;
  if (leaving.contains(focused) && focused.matches(":focus-visible")) by("question").focus();
}

// What a screen reader is told, once; the same words twice are told twice. Beside an open modal dialog the page is silent.
export function say(words) {
  const status = document.querySelector("dialog:modal .told") ?? by("status");
  status.textContent = "";
  requestAnimationFrame(() => (status.textContent = words));
}
