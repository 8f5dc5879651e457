/** Where mathematics begins and ends in Markdown: extensions of `marked`. */

/** A formula is not longer. A bound, because each sign that could begin one looks for its end. */
const MAX_CHARACTERS = 5_000;

/** Formulas on lines of their own. What stands between `open` and `close` may have many lines. */
const DISPLAYS = [
  { open: "$$", close: "$$" },
  { open: "\\[", close: "\\]" },
];
const ENVIRONMENT = /^ {0,3}\\begin\{(equation|align|alignat|gather|multline|split|cases|array|[pbvBV]?matrix)(\*?)\}/;

export const mathBlock = {
  name: "mathBlock",
  level: "block",
  start: (src) => /\n {0,3}(?:\$\$|\\\[|\\begin\{)/.exec(firstParagraph(src))?.index,
  tokenizer(src) {
    return readDisplay(src, this.lexer.options.isOpen) ?? readEnvironment(src);
  },
};

export const mathSpan = {
  name: "mathSpan",
  level: "inline",
  // A sign behind a letter or a digit begins no formula: "US$5".
  start: (src) => /(?<![\w$\\])\$|\\[([]/.exec(src)?.index,
  tokenizer: (src) => readEnclosed(src) ?? readDollars(src),
};

/** As far as a paragraph can go that ends where a formula begins. @param {string} src */
function firstParagraph(src) {
  const start = src.slice(0, MAX_CHARACTERS);
  const end = start.indexOf("\n\n", 1);
  return end < 0 ? start : start.slice(0, end);
}

function readDisplay(src, isOpen) {
  const indent = /^ {0,3}/.exec(src)[0].length;
  const kind = DISPLAYS.find(({ open }) => src.startsWith(open, indent));
  if (!kind) return undefined;
  const { end, tex } = findEnd(src, indent, kind);
  if (end === null) return isOpen ? readUnfinished(src) : undefined;
  const rest = /^ *(?:\n|$)/.exec(src.slice(end, end + 80)); // what follows on the line makes it part of a paragraph
  return rest && tex.trim() ? compose("mathBlock", src.slice(0, end + rest[0].length), tex, true) : undefined;
}

function readEnvironment(src) {
  const begin = ENVIRONMENT.exec(src);
  if (!begin) return undefined;
  const close = `\\end{${begin[1]}${begin[2]}}`;
  const end = src.slice(0, MAX_CHARACTERS).indexOf(close);
  if (end < 0) return undefined;
  const raw = src.slice(0, end + close.length);
  return compose("mathBlock", raw, raw.trim(), true);
}

/** A formula that is still being written: it waits, without its signs being taken for Markdown. */
function readUnfinished(src) {
  const isShort = src.length <= MAX_CHARACTERS && !/\n\s*\n/.test(src.trimEnd());
  return isShort ? { type: "mathBlock", raw: src, text: src, isUnfinished: true } : undefined;
}

function readEnclosed(src) {
  for (const kind of [...DISPLAYS, { open: "\\(", close: "\\)" }]) {
    if (!src.startsWith(kind.open)) continue;
    const { end, tex } = findEnd(src, 0, kind);
    if (end === null || /\n\s*\n/.test(tex) || !tex.trim()) return undefined;
    return compose("mathSpan", src.slice(0, end), tex, kind.open !== "\\(");
  }
  return undefined;
}

/** `$x$`, but no prices: as Pandoc reads it, and a little more careful. */
function readDollars(src) {
  const found = /^\$(?![\s$])((?:\\[^\n]|[^\\$\n])+)(?<!\s)\$(?!\d)/.exec(src.slice(0, MAX_CHARACTERS));
  if (!found || isMoney(found[1], src.slice(found[0].length))) return undefined;
  return compose("mathSpan", found[0], found[1], false);
}

function isMoney(tex, after) {
  if (/^\d[\d.,]*[kKmMbB]?\s+[A-Za-z]{2,}/.test(tex) && !tex.includes("\\")) return true; // "$5 or 10$"
  if (/^\d/.test(tex) && /[,;(/–—-]$/.test(tex)) return true; // "$5-$x"
  return /^[A-Za-z]/.test(after) && !/^(?:st|nd|rd|th|s)\b/.test(after); // "$PATH:$HOME", but "the $n$th"
}

function findEnd(src, start, { open, close }) {
  const inner = start + open.length;
  const end = src.slice(inner, inner + MAX_CHARACTERS).indexOf(close);
  return end < 0 ? { end: null, tex: "" } : { end: inner + end + close.length, tex: src.slice(inner, inner + end) };
}

const compose = (type, raw, text, isDisplay) => ({ type, raw, text, isDisplay });
