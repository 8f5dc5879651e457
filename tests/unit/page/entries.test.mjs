/** A history becomes messages of one's own, answers and notes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { readContent, responseOf, titleOf, toContent, toEntries, withText } from "../../../prompts/static/page/entries.js";
import { dayGroup, timeOfId } from "../../../prompts/static/page/times.js";

const ONE = "2301a22c6158553c44f9001372fecca9";
const TWO = "2301a22c6158553c44f9001372fecca8";
const said = (text) => ({ type: "message", id: `msg_${ONE}`, role: "user", content: [{ type: "input_text", text }] });
const output = (kind, body, index, more) => ({ id: `${kind}_${body}0${index}`, status: "completed", ...more });
const words = (body, index) => output("msg", body, index, { type: "message", role: "assistant", content: [] });

test("the output of one response is one answer", () => {
  const thought = output("rs", ONE, 0, { type: "reasoning", summary: [] });
  const entries = toEntries([said("Hello"), thought, words(ONE, 1), words(TWO, 0)]);
  assert.deepEqual(entries.map(({ kind }) => kind), ["said", "answer", "answer"]);
  assert.equal(entries[1].answer.items.length, 2);
  assert.equal(entries[1].answer.responseId, `resp_${ONE}`);
});

test("a message of the system's is a note", () => {
  const item = { type: "message", id: `msg_${ONE}`, role: "system", content: [{ type: "input_text", text: "Be kind" }] };
  assert.deepEqual(toEntries([item]).map(({ kind, text }) => [kind, text]), [["note", "Be kind"]]);
});

test("an id tells its response and its time", () => {
  assert.equal(responseOf(`msg_${ONE}00`), `resp_${ONE}`);
  assert.equal(responseOf(`msg_${ONE}`), null);
  assert.equal(timeOfId(`msg_${ONE}00`).getUTCFullYear(), 2026);
});

test("what goes with a message comes back from it", () => {
  const content = toContent("Read this", [{ id: "file-1" }], [{ filename: 'a "b".pdf' }, { filename: "c.txt" }]);
  const { text, images, documents } = readContent(content);
  assert.equal(text, "Read this");
  assert.deepEqual(images.map(({ file_id }) => file_id), ["file-1"]);
  assert.deepEqual(documents, ['a "b".pdf', "c.txt"]);
});

test("words that only look like a list of files stay words", () => {
  for (const text of ["Attached files: none", "Attached files: 1, 2", "Attached files: "]) {
    const { text: shown, documents } = readContent([{ type: "input_text", text: "Hello" }, { type: "input_text", text }]);
    if (text === "Attached files: ") assert.deepEqual(documents, []);
    else assert.equal(shown, `Hello\n\n${text}`);
  }
});

test("a message in other words keeps what came with it", () => {
  const image = { type: "input_image", file_id: "file-1" };
  const content = [...toContent("Old", [], []), image, ...toContent("", [], [{ filename: "a.md" }])];
  assert.deepEqual(readContent(withText(content, "New")), { ...readContent(content), text: "New" });
  const words = withText([{ type: "input_text", text: "Attached files: none, I fear" }], "New");
  assert.deepEqual(words, [{ type: "input_text", text: "New" }]);
});

test("a title is the first words, and no more", () => {
  const title = titleOf(toContent("What is the notice period of the flat in Munich that we looked at together last week?", [], []));
  assert.ok(title.length <= 61 && title.endsWith("…"), title);
  assert.equal(titleOf(toContent("  Two\nlines", [], [])), "Two");
  assert.equal(titleOf(toContent("", [], [{ filename: "a.pdf" }])), "a.pdf");
  assert.equal(titleOf(toContent("", [{ id: "file-1" }], [])), "Picture");
});

test("conversations stand under the day of their last use", () => {
  const now = new Date(2026, 10, 30, 0, 30);
  const ago = (days, hour = 23) => dayGroup(new Date(2026, 10, 30 - days, hour), now);
  assert.equal(ago(0, 0), "Today");
  assert.equal(ago(1), "Yesterday");
  assert.equal(ago(6), "This week");
  assert.equal(ago(20), "This month");
});
