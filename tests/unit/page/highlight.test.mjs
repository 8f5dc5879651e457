// Colours of code: every language reads its own programs, and hostile ones in bounded time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { canBeColoured } from "../../../prompts/static/page/markdown/code.js";
import { languages, tokenizeWith } from "../../../prompts/static/page/vendor/highlight.js";

function tokenize(text, language) {
  const tokens = [];
  tokenizeWith(text, languages[language], (piece, kind) => tokens.push([piece, kind]), { languages });
  return tokens;
}

test("a program is cut into its tokens, and they are the program", () => {
  const text = 'def f(x):  # why\n    return "a" + str(42)\n';
  const tokens = tokenize(text, "python");
  assert.equal(tokens.map(([piece]) => piece).join(""), text);
  const kinds = Object.fromEntries(tokens.filter(([, kind]) => kind));
  assert.deepEqual([kinds.def, kinds['"a"'], kinds[42]], ["kwd", "str", "num"]);
});

const HOSTILE = ['"', "'", "`", "/*", "<!--", "<a ", "${", "#", "\\", "/", "{", "a ", "|\n", "- ", '"""', "x(", "<<E\n", ":", "=", "a:"];

test("every language reads what is hostile in bounded time, and all of it", () => {
  for (const language of new Set(Object.values(languages))) {
    const name = Object.keys(languages).find((each) => languages[each] === language);
    for (const piece of HOSTILE) {
      const text = piece.repeat(Math.ceil(8_000 / piece.length));
      const start = performance.now();
      assert.equal(tokenize(text, name).map(([each]) => each).join(""), text);
      assert.ok(performance.now() - start < 5_000, `${name} ${JSON.stringify(piece)}`);
    }
  }
});

test("what takes the square of its length is not coloured", () => {
  for (const text of ["a".repeat(400), `x = "${"QUJD".repeat(200)}"`, " ".repeat(400), "\n".repeat(400), "x\n".repeat(20_000)]) {
    assert.ok(!canBeColoured(text), text.slice(0, 20));
  }
  assert.ok(canBeColoured("def f(x):\n    return x\n".repeat(200)));
  assert.ok(!canBeColoured("def f(x):\n    return x\n".repeat(400), true));
});
