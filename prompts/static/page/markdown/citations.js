/** Citations in a text: marks that survive its way through the Markdown parser, and the buttons that they become. */

/** @typedef {{type: string, index?: number, file_id?: string, filename?: string, "eps:passage"?: number}} Annotation */
/** @typedef {{number: number, index: number, fileId: string, filename: string, passage: number | undefined}} Citation */

// A mark is the citation's place in the list between these two. They count as punctuation, so that emphasis ends before
// them as before a full stop. Where the text itself has them, stand-ins from the private use area take their place.
const [OPEN, CLOSE] = ["⸨", "⸩"];
const STAND_INS = { [OPEN]: "\uE000", [CLOSE]: "\uE001" };
const MARK = /⸨(\d+)⸩/;

/**
 * The text with a mark at the place of each citation.
 *
 * @param {string} text
 * @param {Annotation[]} annotations `index` counts characters (code points) of the text
 * @returns {{source: string, citations: Citation[]}}
 */
export function markCitations(text, annotations) {
  const citations = numberCitations(annotations);
  if (!citations.length) return { source: text, citations };
  const characters = hasPairs(text) ? Array.from(text) : text;
  let source = "";
  let end = 0;
  for (const [place, { index }] of citations.entries()) {
    const start = end;
    end = Math.max(start, Math.min(index, characters.length));
    source = putMark(source + protect(slice(characters, start, end)), `${OPEN}${place}${CLOSE}`);
  }
  return { source: source + protect(slice(characters, end)), citations };
}

/** What the text is in pieces: strings, and places of citations. @param {string} text @returns {(string | number)[]} */
export function splitMarks(text) {
  const pieces = text.split(MARK).map((piece, index) => (index % 2 ? Number(piece) : restore(piece)));
  return pieces.filter((piece) => piece !== "");
}

/** The text without marks, for where no button can be. @param {string} text */
export function removeMarks(text) {
  return splitMarks(text).filter((piece) => typeof piece === "string").join("");
}

/** @param {Citation} citation */
export function composeCitation({ number, fileId, filename, passage }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "citation";
  button.textContent = String(number);
  button.setAttribute("aria-label", `Source ${number}: ${filename}`);
  Object.assign(button.dataset, { number, fileId, filename, passage: passage ?? "" });
  return button;
}

/** A passage keeps the number of its first citation. @param {Annotation[]} annotations */
function numberCitations(annotations) {
  const numbers = new Map();
  const cited = annotations.filter(({ type, index }) => type === "file_citation" && Number.isInteger(index));
  cited.sort((one, other) => one.index - other.index);
  return cited.map((annotation) => {
    const passage = annotation["eps:passage"];
    const key = JSON.stringify([annotation.file_id, passage]);
    if (!numbers.has(key)) numbers.set(key, numbers.size + 1);
    const { index, file_id: fileId = "", filename = "a file" } = annotation;
    return { number: numbers.get(key), index, fileId, filename, passage };
  });
}

/** A mark behind what must end its line, such as the fence of code, gets a paragraph of its own. */
function putMark(source, mark) {
  const line = source.slice(source.lastIndexOf("\n") + 1);
  if (/^\s*(`{3,}|~{3,}|.*\$\$|.*\\\]|(?:[-*_] *){3,})\s*$/.test(line)) return `${source}\n\n${mark}`;
  const row = /^(\s*\|.*)(\|\s*)$/.exec(line); // behind the last cell of a row would be outside of the table
  return row ? source.slice(0, source.length - row[2].length) + mark + row[2] : source + mark;
}

const hasPairs = (text) => /[\uD800-\uDBFF]/.test(text);
const slice = (characters, start, end) =>
  typeof characters === "string" ? characters.slice(start, end) : characters.slice(start, end).join("");
const protect = (text) => text.replace(/[⸨⸩]/g, (found) => STAND_INS[found]);
const restore = (text) => text.replaceAll("\uE000", OPEN).replaceAll("\uE001", CLOSE);
