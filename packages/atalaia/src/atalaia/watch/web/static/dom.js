// Elements made from data. Whatever comes from a topic becomes text or an attribute's value, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

const TIME = /(\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?(?: UTC)?)/;

/** A name that may be broken where its parts meet, rather than amid a word. */
export const breakable = (name) => name.split(/(?<=[:_./-])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));

const LONG = /(\S{24,})/;

/** A sentence whose times stay on one line; very long names in it may be broken where their parts meet. */
export const said = (words) => words.replaceAll(" -> ", " → ").split(TIME).map((part, i) =>
  i % 2 ? el("span", { class: "time" }, part) : part.split(LONG).map((word, j) => (j % 2 ? breakable(word) : word)));

/** An SVG element. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Put new children in place of the old; what was focused or opened, by its data-key, stays so. */
export function replace(parent, ...children) {
  const active = document.activeElement;
  const key = parent.contains(active) ? active.dataset.key : undefined;
  const opened = new Map();
  for (const each of parent.querySelectorAll("details[data-key]")) opened.set(each.dataset.key, each.open);
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  for (const each of parent.querySelectorAll("[data-key]")) {
    if (each.tagName === "DETAILS" && opened.has(each.dataset.key)) each.open = opened.get(each.dataset.key);
    if (key !== undefined && each.dataset.key === key) each.focus({ preventScroll: true });
  }
}
