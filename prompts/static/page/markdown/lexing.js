/** Markdown becomes tokens: GitHub's dialect, with mathematics, in bounded time whatever the text is. */

import { Lexer, Marked } from "../vendor/marked.js";
import { mathBlock, mathSpan } from "./math_syntax.js";

/** A longer paragraph or cell is shown as it was written: the time to read it grows with the square of its length. */
const MAX_INLINE_CHARACTERS = 10_000;
/** Lists and quotes inside of one another. What is deeper is text. */
const MAX_NESTING = 24;
/** For what stands in lines, of a whole text; what is left then is shown as it was written. An answer needs 50 ms. */
const MAX_INLINE_MS = 1_500;
const MAX_INLINE_OPEN_MS = 150;

const OPTIONS = new Marked({ gfm: true, breaks: true, extensions: [mathBlock, mathSpan] }).defaults;

/** A lexer that goes down a few levels only: each one reads its text again. */
class BoundedLexer extends Lexer {
  #depth = 0;

  blockTokens(src, tokens = [], isLastParagraphCut = false) {
    if (this.#depth >= MAX_NESTING) {
      tokens.push({ type: "text", raw: src, text: src });
      return tokens;
    }
    this.#depth += 1;
    try {
      return super.blockTokens(src, tokens, isLastParagraphCut);
    } finally {
      this.#depth -= 1;
    }
  }
}

/**
 * The tokens of a text; but for the last one their `raw` texts are the text. What cannot be read is one plain token.
 *
 * @param {string} text
 * @param {{links?: Record<string, unknown>, isOpen?: boolean}} [options] `links` that were defined before this text;
 *   `isOpen` says that more of it will come: a formula that is not closed yet then waits
 * @returns {{tokens: any[], links: Record<string, unknown>}}
 */
export function lex(text, { links = {}, isOpen = false } = {}) {
  const lexer = new BoundedLexer({ ...OPTIONS, isOpen });
  Object.assign(lexer.tokens.links, links);
  try {
    lexer.blockTokens(text.replace(/\r\n?/g, "\n"), lexer.tokens);
    readInline(lexer, performance.now() + (isOpen ? MAX_INLINE_OPEN_MS : MAX_INLINE_MS));
  } catch {
    return { tokens: [{ type: "plain", raw: text, text }], links };
  }
  return { tokens: Array.from(lexer.tokens), links: lexer.tokens.links };
}

/** @param {any} lexer @param {number} deadline */
function readInline(lexer, deadline) {
  for (const { src, tokens } of lexer.inlineQueue) {
    if (src.length <= MAX_INLINE_CHARACTERS && performance.now() < deadline) lexer.inlineTokens(src, tokens);
    else tokens.push({ type: "text", raw: src, text: src });
  }
}
