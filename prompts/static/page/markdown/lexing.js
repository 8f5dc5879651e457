/** Markdown becomes tokens: GitHub's dialect, with mathematics, in bounded time. */

import { Lexer, Marked } from "../vendor/marked.js";
import { mathBlock, mathSpan } from "./math_syntax.js";

/** A longer paragraph or cell is shown as it is: what its marks mean would take too long to find out. */
const MAX_INLINE_CHARACTERS = 40_000;

const OPTIONS = new Marked({ gfm: true, breaks: true, extensions: [mathBlock, mathSpan] }).defaults;

/**
 * The tokens of a text; their `raw` texts are the text. What cannot be read is one token of plain text.
 *
 * @param {string} text
 * @param {{links?: Record<string, unknown>, isOpen?: boolean}} [options] `links` that were defined before this text;
 *   `isOpen` says that more of it will come: a formula that is not closed yet then waits
 */
export function lex(text, { links = {}, isOpen = false } = {}) {
  const lexer = new Lexer({ ...OPTIONS, isOpen });
  Object.assign(lexer.tokens.links, links);
  try {
    lexer.blockTokens(text.replace(/\r\n?/g, "\n"), lexer.tokens);
    for (const { src, tokens } of lexer.inlineQueue) readInline(lexer, src, tokens);
  } catch {
    // Nested so deep that the stack is full.
    return { tokens: [{ type: "plain", raw: text, text }], links };
  }
  return { tokens: Array.from(lexer.tokens), links: lexer.tokens.links };
}

function readInline(lexer, src, tokens) {
  if (src.length <= MAX_INLINE_CHARACTERS) lexer.inlineTokens(src, tokens);
  else tokens.push({ type: "text", raw: src, text: src });
}
