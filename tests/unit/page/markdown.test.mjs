// Markdown's pure half: tokens, formulas, marks of citations, character references. Elements are tried in a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { markCitations, removeMarks, splitMarks } from "../../../prompts/static/page/markdown/citations.js";
import { decodeEntities } from "../../../prompts/static/page/markdown/entities.js";
import { lex } from "../../../prompts/static/page/markdown/lexing.js";

/** The formulas of a text, in order. */
function findFormulas(text, options) {
  const found = [];
  const look = (tokens) => {
    for (const token of tokens ?? []) {
      if (token.type === "mathSpan" || token.type === "mathBlock") found.push(token.text.trim());
      look(token.tokens);
      look(token.items);
      for (const cell of [token.header ?? [], ...(token.rows ?? [])].flat()) look(cell.tokens);
    }
  };
  look(lex(text, options).tokens);
  return found;
}

test("formulas are found in all four ways to write them", () => {
  const text = "A $x^2$, \\(y_1\\), $$z$$ and \\[w\\].\n\n$$\na\n+ b\n$$\n\n\\[\nc\n\\]\n\n- item $d$\n\n| $e$ |\n|--|\n| \\(f\\) |\n";
  assert.deepEqual(findFormulas(text), ["x^2", "y_1", "z", "w", "a\n+ b", "c", "d", "e", "f"]);
  assert.deepEqual(findFormulas("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}\n"), [
    "\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}",
  ]);
});

for (const text of [
  "It costs $5 and $10.",
  "Between $5 or 10$ a piece",
  "US$5, HK$10 and A$3",
  "from $20 (was $25)",
  "$1,000-$2,000 and $3/$4",
  "$5 a month, $50 a year, save $10!",
  "echo $PATH:$HOME and $USER",
  "a $ b $ c",
  "`$x$` and ```$y$```",
  "\\$x\\$",
  "$x",
  "$$",
  "$ x $",
]) {
  test(`no formula in: ${text}`, () => assert.deepEqual(findFormulas(text), []));
}

test("the letters of an ordinal may follow a formula", () => {
  assert.deepEqual(findFormulas("the $n$th and the $(n+1)$st of $2^k$, $5x$."), ["n", "(n+1)", "2^k", "5x"]);
});

test("stars and lines in a formula are no emphasis", () => {
  assert.deepEqual(findFormulas("$a*b$ and $c*d$, $x_1$ and $y_2$, **$z$**"), ["a*b", "c*d", "x_1", "y_2", "z"]);
});

test("a formula that is still being written waits, and is text in the end", () => {
  const text = "Look:\n\n$$\na_1 * b_2 *";
  assert.deepEqual(lex(text, { isOpen: true }).tokens.at(-1).isUnfinished, true);
  assert.equal(lex(text).tokens.at(-1).type, "paragraph");
  assert.equal(lex(`${text}\n\nno formula`, { isOpen: true }).tokens.at(-1).isUnfinished, undefined);
});

const SAMPLE = `# Title\n\nPara *a*\nline\n\n- one\n- two\n\n  more\n\n1. x\n2. y\n\n> q\n> - z\n\n| a | b |\n|---|---|\n| 1 | 2 |\n
\`\`\`js\nlet x;\n\n- no list\n\`\`\`\ntext\n***\n$$\nx\n$$\n<b>html</b>\n\n[r]: https://a.b\n[r] and ~~d~~\r\n\r\nend  \nx`;

test("all tokens but the last are the text as it came, wherever it ends", () => {
  const text = SAMPLE.replaceAll("\r\n", "\n");
  for (let end = 0; end <= text.length; end += 1) {
    for (const isOpen of [true, false]) {
      const { tokens } = lex(text.slice(0, end), { isOpen });
      const closed = tokens.slice(0, -1).map(({ raw }) => raw).join("");
      assert.equal(text.slice(0, closed.length), closed, `of the first ${end}`);
    }
  }
});

test("what is known of references is used, and told", () => {
  const { links } = lex("[a]: https://a.example\n");
  const [{ tokens }] = lex("see [a]", { links }).tokens;
  assert.equal(tokens.at(-1).href, "https://a.example");
});

const million = (piece) => piece.repeat(Math.ceil(1_000_000 / piece.length));
const HOSTILE = {
  "a million characters in one word": million("x"),
  "a million of >": million(">"),
  "a million of [": million("["),
  "a million of *a **b": million("*a **b "),
  "a million of _a": million("_a"),
  "a million of `": million("`"),
  "a million of <": million("<"),
  "a million of &": million("&"),
  "a million of \\": million("\\"),
  "a million of $x": million("$x "),
  "a million of \\(": million("\\("),
  "a million line ends": million("\n"),
  "fences that open and never close": million("```\n\n"),
  "a thousand lists in one another": Array.from({ length: 1000 }, (_, depth) => `${"  ".repeat(depth)}- x`).join("\n"),
  "ten thousand quotes in one another": `${"> ".repeat(10_000)}x`,
  "quotes and lists in turns": "> - ".repeat(5000),
  "a mail address without an end": `${"a".repeat(100_000)}@`,
  "thousands of paragraphs that cost": million(`${"_a".repeat(4900)}\n\n`),
  "a table of ten thousand columns": `${"|a".repeat(10_000)}|\n${"|-".repeat(10_000)}|\n${"|x".repeat(10_000)}|`,
  "links in links": million("[a]("),
  "pictures in pictures": million("!["),
};
// Seconds where a browser would hang for minutes; the machine may be busy.
const MAX_MS = 15_000;
for (const [name, text] of Object.entries(HOSTILE)) {
  test(`in bounded time: ${name}`, () => {
    const start = performance.now();
    const { tokens } = lex(text);
    assert.ok(performance.now() - start < MAX_MS);
    assert.equal(tokens.map(({ raw }) => raw).join("").length, text.length);
  });
}

const cite = (index, file_id, passage) => ({
  type: "file_citation",
  index,
  file_id,
  filename: `${file_id}.txt`,
  "eps:passage": passage,
});

test("a citation stands at its character, also behind those that are two for JavaScript", () => {
  const { source, citations } = markCitations("🌍🌍 round. Yes.", [cite(9, "file-a", 4), cite(14, "file-b", 1)]);
  assert.deepEqual(splitMarks(source), ["🌍🌍 round.", 0, " Yes.", 1]);
  assert.deepEqual(citations.map(({ number, passage, filename }) => [number, passage, filename]), [
    [1, 4, "file-a.txt"],
    [2, 1, "file-b.txt"],
  ]);
});

test("a passage keeps its number, and citations come in the order of the text", () => {
  const { source, citations } = markCitations("one two three", [cite(13, "a", 1), cite(3, "b", 2), cite(7, "a", 1)]);
  assert.deepEqual(splitMarks(source), ["one", 0, " two", 1, " three", 2]);
  assert.deepEqual(citations.map(({ number }) => number), [1, 2, 2]);
});

test("marks that the text has itself stay what they are", () => {
  const { source } = markCitations("a ⸨0⸩ b", [cite(7, "a", 1)]);
  assert.deepEqual(splitMarks(source), ["a ⸨0⸩ b", 0]);
  assert.equal(removeMarks(source), "a ⸨0⸩ b");
  assert.equal(markCitations("a ⸨0⸩", []).source, "a ⸨0⸩");
});

test("a place beyond the text is its end, and what is no citation of a file is left out", () => {
  const { source, citations } = markCitations("abc", [cite(99, "a", 1), { type: "url_citation", index: 1 }, cite(-5, "b", 2)]);
  assert.deepEqual(splitMarks(source), [0, "abc", 1]);
  assert.equal(citations.length, 2);
});

test("a citation behind a fence, a formula or a row breaks none of them", () => {
  const kinds = (text) => {
    const { source } = markCitations(text, [cite(text.length, "a", 1)]);
    return lex(source).tokens.filter(({ type }) => type !== "space").map(({ type }) => type);
  };
  assert.deepEqual(kinds("```\nx\n```"), ["code", "paragraph"]);
  assert.deepEqual(kinds("$$\nx\n$$"), ["mathBlock", "paragraph"]);
  assert.deepEqual(kinds("| a |\n|---|\n| b |"), ["table"]);
  const { source } = markCitations("| a |\n|---|\n| b |", [cite(19, "a", 1)]);
  assert.match(lex(source).tokens[0].rows[0][0].text, /⸨0⸩/);
});

test("character references are read, and only once", () => {
  assert.equal(decodeEntities("&lt;b&gt; &amp;lt; &#65;&#x1F30D; &nbsp;&unknown; &constructor; & &#0;&#xD800;&#9999999;"), 
    "<b> &lt; A🌍 \u00a0&unknown; &constructor; & \ufffd\ufffd\ufffd");
});
