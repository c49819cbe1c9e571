// Builds elements. Text from outside only ever becomes a text node or an attribute, so it cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [attributes] `class`, `text`, `on…` listeners; true is an empty attribute, null none
 * @param {...(Node|string|null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = String(value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * One of the icons of index.html.
 * @param {string} name
 * @param {string} [label] for screen readers; without one it is decoration
 */
export function icon(name, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/**
 * A dot in a colour of a light: an SVG attribute, as the page's policy allows no style attributes.
 * @param {string|null} color `#rrggbb`; null: dark
 * @param {boolean} blink
 */
export function swatch(color, blink) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `swatch${blink ? " blink" : ""}${color ? "" : " dark"}`);
  svg.setAttribute("viewBox", "0 0 40 40");
  svg.setAttribute("aria-hidden", "true");
  const dot = document.createElementNS(SVG, "circle");
  for (const [name, value] of Object.entries({ cx: "20", cy: "20", r: "15" })) dot.setAttribute(name, value);
  if (color) dot.setAttribute("fill", color);
  svg.append(dot);
  return svg;
}

/**
 * Sets a text only where it is another one, so that nothing is drawn again for nothing.
 * @param {Node} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes `parent` have exactly these children in this order, and moves only those that are elsewhere.
 * @param {Element} parent
 * @param {Element[]} children
 */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of children) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}
