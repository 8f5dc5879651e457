/**
 * An answer as people read it: Markdown, with code, tables, mathematics and citations, while it is being written.
 *
 * No text ever becomes HTML. `marked` only cuts it into tokens, and each token becomes elements that are made by name;
 * what looks like HTML is shown as it was written. So there is nothing to sanitise, whatever a model or a file says.
 *
 * What a style sheet finds: `p ul ol li.task blockquote hr del kbd mark img a a.picture`, headings `h3.heading-1` to
 * `h6.heading-6`, `div.table > table` with `.align-left/center/right` cells, `figure.code` with
 * `figcaption > span.language + button.copy-code` and `pre > code` with `span.code-keyword` …, `span.math` and
 * `div.math.math-display`, `code.math-source` (not set yet, or not readable), `p.html` and `pre.plain` (as it was
 * written), `button.citation`.
 */

import { composeCitation, markCitations } from "./markdown/citations.js";
import { lex } from "./markdown/lexing.js";
import { Block } from "./markdown/blocks.js";

/** So many blocks at the end may still change: a "2" below a list becomes its next item when a dot follows. */
const OPEN_BLOCKS = 2;
/** At most this share of the time is for rendering; the rest is the page's. */
const MAX_SHARE = 0.25;

/** @typedef {import("./markdown/citations.js").Annotation} Annotation */

export class MarkdownView {
  #element;
  /** @type {Block[]} what is shown, in order */
  #blocks = [];
  /** What cannot change any more: its text, its blocks, and the link references in it, `[name]: address`. */
  #settled = { text: "", blocks: 0, links: {} };
  /** @type {{text: string, annotations: Annotation[]} | null} what waits to be shown */
  #next = null;
  #frame = 0;
  #timer = 0;
  /** @type {HTMLElement | null} citations whose place shows none */
  #lost = null;

  /** @param {Element} element whose children become the answer */
  constructor(element) {
    this.#element = element;
  }

  /**
   * Show this text in place of the last one. While it grows it is rendered at most once a frame, and only its last
   * blocks anew. A final text is there when the call returns.
   *
   * @param {string} text
   * @param {{annotations?: Annotation[], isFinal?: boolean}} [options] `file_citation`s become numbered buttons
   */
  update(text, { annotations = [], isFinal = false } = {}) {
    this.#next = { text, annotations };
    if (isFinal) this.#show(true);
    else if (!this.#frame && !this.#timer) this.#waitForFrame();
  }

  #waitForFrame() {
    this.#frame = requestAnimationFrame(() => {
      const start = performance.now();
      this.#show(false);
      const tookMs = performance.now() - start;
      this.#timer = window.setTimeout(() => this.#goOn(), tookMs / MAX_SHARE - tookMs);
    });
  }

  #goOn() {
    this.#timer = 0;
    if (this.#next) this.#waitForFrame();
  }

  /** @param {boolean} isFinal */
  #show(isFinal) {
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = 0;
    if (!this.#next) return;
    const { source, citations } = markCitations(this.#next.text, this.#next.annotations);
    this.#next = null;
    // At the end everything is read once more as a whole: what comes out the same keeps its elements.
    if (isFinal || !source.startsWith(this.#settled.text)) this.#settled = { text: "", blocks: 0, links: {} };
    this.#render(source, citations, isFinal);
  }

  /** @param {string} source @param {import("./markdown/citations.js").Citation[]} citations @param {boolean} isFinal */
  #render(source, citations, isFinal) {
    const tail = source.slice(this.#settled.text.length);
    const { tokens, links } = lex(tail, { links: this.#settled.links, isOpen: !isFinal });
    const shown = tokens.filter((token) => token.type !== "space" && token.type !== "def");
    const isAnew = isFinal && Object.keys(links).length > 0; // a reference may stand before its definition
    shown.forEach((token, offset) => {
      const isOpen = !isFinal && offset === shown.length - 1;
      this.#put(this.#settled.blocks + offset, token, { citations, isOpen }, isAnew);
    });
    for (const block of this.#blocks.splice(this.#settled.blocks + shown.length)) block.node.remove();
    this.#lost?.remove();
    if (isFinal) this.#showLost(citations);
    else this.#settle(tail, tokens, shown, links);
  }

  #put(index, token, context, isAnew) {
    const old = this.#blocks[index];
    if (old && !isAnew && old.update(token, context)) return;
    const block = new Block(token, context);
    if (old) old.node.replaceWith(block.node);
    else this.#element.append(block.node);
    this.#blocks[index] = block;
  }

  #settle(tail, tokens, shown, links) {
    if (shown.length <= OPEN_BLOCKS) return;
    const open = shown.at(-OPEN_BLOCKS);
    const closed = tokens.slice(0, tokens.indexOf(open)).map(({ raw }) => raw).join("");
    if (!tail.startsWith(closed)) return; // the parser has changed what it read: all of it stays open
    const { text, blocks } = this.#settled;
    this.#settled = { text: text + closed, blocks: blocks + shown.indexOf(open), links };
  }

  #showLost(citations) {
    const buttons = this.#element.querySelectorAll("button.citation");
    const there = new Set(Array.from(buttons, (button) => button.dataset.number));
    const lost = citations.filter(({ number }, place) => {
      const isFirst = citations.findIndex((other) => other.number === number) === place;
      return isFirst && !there.has(String(number));
    });
    if (!lost.length) return;
    this.#lost = document.createElement("p");
    this.#lost.append(...lost.map(composeCitation));
    this.#element.append(this.#lost);
  }
}
