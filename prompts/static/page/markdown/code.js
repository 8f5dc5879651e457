/** A block of code: its language, a button that copies it, and colours as soon as the library is there. */

import { copyText } from "../clipboard.js";

/** Longer code stays plain: colouring it would hold up the page. While it is being written, less. */
const MAX_COLOURED = 100_000;
const MAX_COLOURED_OPEN = 10_000;
const COPIED_MS = 2000;

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
    if (!this.#language || this.#text.length > (isOpen ? MAX_COLOURED_OPEN : MAX_COLOURED)) return false;
    if (highlight) return Boolean(highlight.getLanguage(this.#language));
    load().then(() => this.#isColoured(isOpen) && this.#colour(), () => {});
    return false;
  }

  #colour() {
    const { _emitter } = highlight.highlight(this.#text, { language: this.#language, ignoreIllegals: true });
    this.#code.replaceChildren(...composeColoured(_emitter.rootNode.children));
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

/** The language's name in what stands behind the fence: `python title="x.py"`. @param {string} lang */
const findName = (lang) => /^[\w+#.-]{1,30}/.exec(lang.trim())?.[0].toLowerCase() ?? "";

function load() {
  loading ??= import("../vendor/highlight.js").then((module) => {
    highlight = module.default;
  });
  loading.catch(() => {
    loading = null;
  });
  return loading;
}

/** The library's tree as elements; its own way from here is HTML. */
function composeColoured(children) {
  return children.map((child) => {
    if (typeof child === "string") return child;
    const span = document.createElement("span");
    if (child.scope) span.className = composeClass(child.scope);
    span.append(...composeColoured(child.children));
    return span;
  });
}

/** `title.function` → `hljs-title function_`, as the library's themes have it. @param {string} scope */
function composeClass(scope) {
  if (scope.startsWith("language:")) return scope.replace("language:", "language-");
  const [first, ...others] = scope.split(".");
  return [`hljs-${first}`, ...others.map((other, index) => other + "_".repeat(index + 1))].join(" ");
}
