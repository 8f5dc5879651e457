/** What stands in a line: tokens become elements and texts. */

import { decodeEntities } from "./entities.js";
import { composeCitation, removeMarks, splitMarks } from "./citations.js";
import { composeMath } from "./math.js";

/** Deeper nesting is shown as it was written. */
export const MAX_DEPTH = 40;
/** Only these are opened by a click, and none by the page itself. */
const SAFE_ADDRESS = /^(?:https?:\/\/|mailto:)/i;
/** Pictures that came with the text. Others are links, so that reading an answer tells nobody about it. */
const OWN_PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,[a-z0-9+/=]+$/i;
/** Elements that models write as HTML, without attributes; any other tag is text. */
const TAG = /^<(\/?)(sub|sup|kbd|u|mark|b|i|em|strong|s)>$/i;
const BREAK = /^<br\s*\/?>$/i;

const MARKS = { strong: "strong", em: "em", del: "del" };

/**
 * @typedef {{citations: import("./citations.js").Citation[], isOpen: boolean, depth?: number,
 *   heldBack?: Node[]}} Context `heldBack` collects buttons where none can be, such as in a link
 * @param {Element} parent @param {any[]} tokens @param {Context} context
 */
export function appendInline(parent, tokens, context) {
  const depth = (context.depth ?? 0) + 1;
  if (depth > MAX_DEPTH) return appendText(parent, tokens.map(({ raw }) => raw).join(""), context);
  let place = parent; // inside of elements that a tag has opened
  for (const token of tokens) {
    if (token.type === "html") place = readTag(token.raw, place, parent, context);
    else appendToken(place, token, { ...context, depth });
  }
}

/** @param {Element} parent @param {any} token @param {Context} context */
function appendToken(parent, token, context) {
  switch (token.type) {
    case "strong":
    case "em":
    case "del": {
      const element = document.createElement(MARKS[token.type]);
      appendInline(element, token.tokens, context);
      return parent.append(element);
    }
    case "br":
      return parent.append(document.createElement("br"));
    case "codespan": {
      const code = document.createElement("code");
      code.textContent = removeMarks(token.text);
      return parent.append(code);
    }
    case "link":
      return appendLink(parent, token, context);
    case "image":
      return appendPicture(parent, token);
    case "mathSpan":
      return parent.append(composeMath(removeMarks(token.text), { isDisplay: token.isDisplay }));
    case "checkbox":
      return parent.append(composeCheckbox(token.checked));
    case "escape":
      return appendText(parent, token.text, context);
    default: {
      if (token.tokens) return appendInline(parent, token.tokens, context);
      return appendText(parent, token.text ?? token.raw, context);
    }
  }
}

/** @param {Element} parent @param {string} text @param {Context} context */
export function appendText(parent, text, { citations, heldBack }) {
  const decoded = decodeEntities(text);
  if (!citations.length) return parent.append(decoded);
  for (const piece of splitMarks(decoded)) {
    const citation = typeof piece === "number" ? citations[piece] : null;
    if (!citation) parent.append(typeof piece === "number" ? "" : piece);
    else (heldBack ?? { push: (node) => parent.append(node) }).push(composeCitation(citation));
  }
}

/** @param {string} raw @param {Element} place @param {Element} parent @param {Context} context */
function readTag(raw, place, parent, context) {
  const [, isEnd, name] = TAG.exec(raw) ?? [];
  if (BREAK.test(raw)) place.append(document.createElement("br"));
  else if (name && !isEnd && countSteps(place, parent) < MAX_DEPTH) {
    const element = document.createElement(name.toLowerCase());
    place.append(element);
    return element;
  } else if (name && isEnd && place !== parent && place.localName === name.toLowerCase()) return place.parentElement;
  else appendText(place, raw, context);
  return place;
}

/** @param {Element} place @param {Element} parent */
function countSteps(place, parent) {
  let steps = 0;
  for (let element = place; element !== parent; element = element.parentElement) steps += 1;
  return steps;
}

/** @param {Element} parent @param {any} token @param {Context} context */
function appendLink(parent, token, context) {
  const heldBack = [];
  const href = removeMarks(token.autolink ? token.href : decodeEntities(token.href));
  const link = composeLink(href);
  appendInline(link, token.tokens, { ...context, heldBack });
  parent.append(link, ...heldBack);
}

/** A picture that came with the text, or a link to it. @param {Element} parent @param {any} token */
function appendPicture(parent, token) {
  const text = removeMarks(decodeEntities(token.text));
  const href = removeMarks(decodeEntities(token.href));
  if (OWN_PICTURE.test(href)) {
    const picture = document.createElement("img");
    Object.assign(picture, { src: href, alt: text, loading: "lazy" });
    return parent.append(picture);
  }
  const link = composeLink(href);
  link.classList.add("picture");
  link.append(text || href);
  return parent.append(link);
}

/** A link that tells where it goes; what is no address of the web is text. @param {string} href */
function composeLink(href) {
  const address = href.replace(/[\u0000-\u0020\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g, "");
  if (!SAFE_ADDRESS.test(address)) return document.createElement("span");
  const link = document.createElement("a");
  Object.assign(link, { href: address, target: "_blank", rel: "noopener noreferrer", title: address });
  return link;
}

/** @param {boolean} isChecked */
function composeCheckbox(isChecked) {
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", disabled: true, checked: isChecked });
  box.setAttribute("aria-label", isChecked ? "Done" : "To do");
  return box;
}
