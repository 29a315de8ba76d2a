// Making and finding elements. All text goes in as text nodes, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** An element: attributes, `on` listeners and `vars` (CSS variables); children are nodes or text; null is left out. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, { on = {}, vars = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(`--${name}`, value);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...wanted(children));
  return element;
}

const wanted = (children) => children.flat().filter((child) => child !== null && child !== undefined && child !== false);

/** Put these children in the place of those that an element has; null and false are left out. */
export function put(element, ...children) {
  element.replaceChildren(...wanted(children));
}

/** Tell it to who sees (a toast) and to who hears (a live region). */
export function say(text) {
  byId("said").textContent = text;
  const toast = byId("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (toast.hidden = true), 2600);
}

/** Tell it to who hears only: what has changed in sight speaks for itself. */
export function announce(text) {
  byId("said").textContent = text;
}

export async function copy(text, told) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // The clipboard is for secure origins only: the old way works elsewhere.
    const area = h("textarea", { class: "vh", "aria-hidden": "true" }, text);
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return say("The browser did not let us copy");
  }
  return say(told);
}

/** A probability as a person reads it: 18 %, 0.4 %, under 0.1 %. */
export function percent(p) {
  if (p === 0) return "0%";
  if (p < 0.001) return "<0.1%";
  if (p > 0.995 && p < 1) return ">99%";
  return p < 0.0995 ? `${(p * 100).toFixed(1)}%` : `${Math.round(p * 100)}%`;
}

/** A share as odds of meeting one: "1 in 43". */
export function oneIn(p) {
  const n = 1 / p;
  return n < 1.05 ? "nearly all" : `1 in ${n < 9.5 ? n.toFixed(1).replace(/\.0$/, "") : round(n).toLocaleString("en")}`;
}

/** Two significant digits, for a number that is an estimate. */
function round(n) {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(n)) - 1);
  return Math.round(n / unit) * unit;
}

export function times(ratio) {
  return `×${ratio >= 100 ? Math.round(ratio) : ratio.toPrecision(2)}`;
}

/** A message of the server as a sentence. */
export const sentence = (text) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

export const plural = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
