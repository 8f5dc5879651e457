/**
 * Builds elements. Text is always text: nothing here reads HTML.
 */

import { copyText } from "./clipboard.js";

const COPIED_MS = 1500;
const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes, listeners (`onclick`) and children; what is null, undefined or false is left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [props] a boolean or function becomes a property or a listener, the rest attributes
 * @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function element(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child || child === 0));
  return node;
}

/** A picture of the sprite in the page, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that is a picture; its name is also its tooltip. */
export function iconButton(name, label, onclick, props = {}) {
  return element("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick, ...props }, icon(name));
}

/** The element with this id, which the template has. */
export function find(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return /** @type {any} */ (found);
}

/** Says something to screen readers, once. */
export function announce(text) {
  find("announcer").textContent = text;
}

/** Whether a key was pressed with the platform's key for commands. */
export function isCommand(event) {
  return event.ctrlKey || event.metaKey;
}

/** Copies a text; the button and the screen reader say so. */
export async function copyWith(button, text) {
  const isCopied = await copyText(text);
  announce(isCopied ? "Copied" : "The browser does not allow copying here. Select the text and copy it.");
  if (!isCopied) return;
  const picture = button.querySelector("use");
  picture.setAttribute("href", "#icon-check");
  setTimeout(() => picture.setAttribute("href", "#icon-copy"), COPIED_MS);
}
