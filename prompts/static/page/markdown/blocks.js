/** What stands on lines of its own: tokens become elements, and elements are kept while their token stays the same. */

import { CodeBlock } from "./code.js";
import { appendInline, appendText, MAX_DEPTH } from "./inline.js";
import { composeMath, composeSource } from "./math.js";

/** The page has headings of its own above those of an answer. */
const FIRST_HEADING = 3;

/** @typedef {import("./inline.js").Context} Context */

/** A block at the top of an answer. */
export class Block {
  #raw;
  #type;
  /** @type {CodeBlock | List | null} what can grow without being made anew */
  #growing;

  /** @param {any} token @param {Context} context */
  constructor(token, context) {
    this.#raw = token.raw;
    this.#type = token.type;
    this.#growing = composeGrowing(token, context);
    /** @type {Element} */
    this.node = this.#growing?.node ?? composeBlock(token, context);
  }

  /** Whether the element shows this token, or does now. @param {any} token @param {Context} context */
  update(token, context) {
    if (token.type !== this.#type) return false;
    const isSame = token.raw === this.#raw && !token.isUnfinished;
    if (isSame && !(this.#growing instanceof CodeBlock)) return true;
    if (!this.#growing?.update(token, context)) return false;
    this.#raw = token.raw;
    return true;
  }
}

/** @param {any} token @param {Context} context */
function composeGrowing(token, context) {
  if (token.type === "code") return new CodeBlock(token, context);
  return token.type === "list" ? new List(token, context) : null;
}

/** A list. A long one grows by its last item alone. */
class List {
  /** @type {string[]} */
  #raws = [];
  #key;

  /** @param {any} token @param {Context} context */
  constructor(token, context) {
    this.#key = describeList(token);
    this.node = document.createElement(token.ordered ? "ol" : "ul");
    if (token.ordered && token.start !== 1) this.node.start = Number(token.start) || 0;
    this.#put(token, context);
  }

  /** @param {any} token @param {Context} context */
  update(token, context) {
    if (describeList(token) !== this.#key) return false;
    this.#put(token, context);
    return true;
  }

  #put(token, context) {
    token.items.forEach((item, index) => {
      if (this.#raws[index] === item.raw) return;
      const element = composeItem(item, context);
      const old = this.node.children[index];
      if (old) old.replaceWith(element);
      else this.node.append(element);
      this.#raws[index] = item.raw;
    });
    this.#raws.length = token.items.length;
    while (this.node.children.length > token.items.length) this.node.lastElementChild.remove();
  }
}

const describeList = ({ ordered, start, loose }) => `${ordered} ${start} ${loose}`;

/** @param {any} item @param {Context} context */
function composeItem(item, context) {
  const element = document.createElement("li");
  if (item.task) element.className = "task";
  appendBlocks(element, item.tokens, context);
  return element;
}

/** @param {Element} parent @param {any[]} tokens @param {Context} context */
function appendBlocks(parent, tokens, context) {
  const depth = (context.depth ?? 0) + 1;
  if (depth > MAX_DEPTH) return parent.append(composePlain(tokens.map(({ raw }) => raw).join("")));
  for (const token of tokens) {
    if (token.type === "space" || token.type === "def") continue;
    // The text of an item in a list without blank lines is no paragraph.
    if (token.type === "text" || token.type === "checkbox") appendInline(parent, [token], { ...context, depth });
    else parent.append(composeGrowing(token, { ...context, depth })?.node ?? composeBlock(token, { ...context, depth }));
  }
}

/** @param {any} token @param {Context} context @returns {Element} */
function composeBlock(token, context) {
  switch (token.type) {
    case "paragraph":
    case "text": {
      const paragraph = document.createElement("p");
      appendInline(paragraph, token.tokens ?? [token], context);
      return paragraph;
    }
    case "heading": {
      const heading = document.createElement(`h${Math.min(6, FIRST_HEADING + token.depth - 1)}`);
      heading.className = `heading-${token.depth}`;
      appendInline(heading, token.tokens, context);
      return heading;
    }
    case "blockquote": {
      const quote = document.createElement("blockquote");
      appendBlocks(quote, token.tokens, context);
      return quote;
    }
    case "hr":
      return document.createElement("hr");
    case "table":
      return composeTable(token, context);
    case "mathBlock":
      return token.isUnfinished ? composeSource(token.text) : composeMath(token.text, { isDisplay: true, tag: "div" });
    case "html": {
      const paragraph = document.createElement("p");
      paragraph.className = "html";
      appendText(paragraph, token.raw.trimEnd().replaceAll("&", "&amp;"), context);
      return paragraph;
    }
    default:
      return composePlain(token.raw);
  }
}

/** @param {string} text what could not be read as Markdown */
function composePlain(text) {
  const plain = document.createElement("pre");
  plain.className = "plain";
  plain.tabIndex = 0;
  plain.textContent = text;
  return plain;
}

/** A table that scrolls by itself when it is wide. @param {any} token @param {Context} context */
function composeTable({ header, rows }, context) {
  const table = document.createElement("table");
  table.createTHead().append(composeRow(header, "th", context));
  table.createTBody().append(...rows.map((row) => composeRow(row, "td", context)));
  const frame = document.createElement("div");
  frame.className = "table";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Table");
  frame.append(table);
  return frame;
}

function composeRow(cells, tag, context) {
  const row = document.createElement("tr");
  for (const { tokens, align } of cells) {
    const cell = document.createElement(tag);
    if (tag === "th") cell.setAttribute("scope", "col");
    if (align) cell.className = `align-${align}`;
    appendInline(cell, tokens, context);
    row.append(cell);
  }
  return row;
}
