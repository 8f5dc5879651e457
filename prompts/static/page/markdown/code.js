/** A block of code: its language, a button that copies it, and colours as soon as the library is there. */

import { copyText } from "../clipboard.js";

/** Longer code stays plain: colouring it would hold up the page. While it is being written, less. */
const MAX_COLOURED = 20_000;
const MAX_COLOURED_OPEN = 5_000;
/** Signs that the library reads again and again, such as a picture in Base64: its time grows with their square. */
const LONG_RUN = /\w{400}|\s{400}/;
const COPIED_MS = 2000;

/** What a style sheet calls the library's kinds of tokens; an operator and what has no kind are plain. */
const NAMES = {
  bool: "literal", class: "type", cmnt: "comment", deleted: "deletion", err: "deletion", func: "name", insert: "addition",
  kwd: "keyword", num: "number", section: "section", str: "string", type: "type", var: "variable",
};

/** @type {any} */
let highlight = null;
/** @type {Promise<void> | null} */
let loading = null;

export class CodeBlock {
  #code = document.createElement("code");
  #text = "";
  #language;

  /** @param {{text: string, lang?: string}} token @param {{isOpen: boolean}} context */
  constructor({ text, lang = "" }, { isOpen }) {
    this.#language = findName(lang);
    this.node = document.createElement("figure");
    this.node.className = "code";
    const pre = document.createElement("pre");
    pre.tabIndex = 0; // it scrolls
    pre.append(this.#code);
    this.node.append(this.#composeHead(), pre);
    this.#show(text, isOpen);
  }

  /** Whether this is the same block, perhaps longer; it is shown then. */
  update({ text, lang = "" }, { isOpen }) {
    if (findName(lang) !== this.#language || !text.startsWith(this.#text)) return false;
    this.#show(text, isOpen);
    return true;
  }

  #show(text, isOpen) {
    const more = text.slice(this.#text.length);
    this.#text = text;
    if (this.#isColoured(isOpen)) this.#colour();
    else if (this.#code.lastChild instanceof Text) this.#code.lastChild.appendData(more);
    else this.#code.append(more);
  }

  #isColoured(isOpen) {
    if (!this.#language || !canBeColoured(this.#text, isOpen)) return false;
    if (highlight) return Object.hasOwn(highlight.languages, this.#language);
    load().then(() => this.#isColoured(isOpen) && this.#colour(), () => {});
    return false;
  }

  #colour() {
    const { languages, tokenizeWith } = highlight;
    const pieces = [];
    const take = (text, type) => text && pieces.push(composeToken(text, NAMES[type]));
    tokenizeWith(this.#text, languages[this.#language], take, { languages });
    this.#code.replaceChildren(...pieces);
  }

  #composeHead() {
    const head = document.createElement("figcaption");
    const language = document.createElement("span");
    language.className = "language";
    language.textContent = this.#language || "text";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy-code";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy code");
    button.addEventListener("click", () => this.#copy(button));
    head.append(language, button);
    return head;
  }

  /** @param {HTMLButtonElement} button */
  async #copy(button) {
    const isCopied = await copyText(this.#text);
    button.textContent = isCopied ? "Copied" : "Not copied";
    button.setAttribute("aria-label", isCopied ? "Code copied" : "Code not copied");
    setTimeout(() => {
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy code");
    }, COPIED_MS);
  }
}

/** Whether colours come at once. @param {string} text @param {boolean} [isOpen] whether more of it will come */
export function canBeColoured(text, isOpen = false) {
  return text.length <= (isOpen ? MAX_COLOURED_OPEN : MAX_COLOURED) && !LONG_RUN.test(text);
}

/** The language's name in what stands behind the fence: `python title="x.py"`. @param {string} lang */
const findName = (lang) => /^[\w+#.-]{1,30}/.exec(lang.trim())?.[0].toLowerCase() ?? "";

function load() {
  loading ??= import("../vendor/highlight.js").then((module) => {
    highlight = module;
  });
  loading.catch(() => {
    loading = null;
  });
  return loading;
}

/** @param {string} text @param {string} [name] */
function composeToken(text, name) {
  if (!name) return text;
  const span = document.createElement("span");
  span.className = `code-${name}`;
  span.textContent = text;
  return span;
}
