/** An answer is put together from the events of its response, in whatever order its parts come. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Answer } from "../../../prompts/static/page/answers.js";

const RESPONSE = { id: "resp_1", status: "in_progress", output: [] };

function tell(answer, ...events) {
  for (const event of events) answer.apply(event);
  return answer;
}

function begin() {
  const answer = tell(new Answer(), { type: "response.created", response: RESPONSE });
  return tell(answer, { type: "response.output_item.added", output_index: 0, item: { type: "message", id: "msg_1", status: "in_progress", content: [] } });
}

const part = (text) => ({ type: "response.content_part.added", output_index: 0, content_index: 0, part: { type: "output_text", text, annotations: [] } });
const delta = (text) => ({ type: "response.output_text.delta", output_index: 0, content_index: 0, delta: text });

test("words come one after another", () => {
  const answer = tell(begin(), part(""), delta("Hello"), delta(" you"));
  assert.equal(answer.text, "Hello you");
  assert.equal(answer.responseId, "resp_1");
  assert.ok(answer.isLive);
});

test("the response of the last event is what counts", () => {
  const output = [{ type: "message", id: "msg_1", status: "completed", content: [{ type: "output_text", text: "All of it" }] }];
  const answer = tell(begin(), part(""), delta("All"), { type: "response.completed", response: { ...RESPONSE, status: "completed", output } });
  assert.equal(answer.text, "All of it");
  assert.equal(answer.status, "completed");
  assert.ok(!answer.isLive);
});

test("a citation stands at its place in the list, whichever comes first", () => {
  const annotation = (number) => ({ type: "response.output_text.annotation.added", output_index: 0, content_index: 0, annotation_index: number, annotation: { number } });
  const answer = tell(begin(), part(""), annotation(1), annotation(0));
  assert.deepEqual(answer.items[0].content[0].annotations, [{ number: 0 }, { number: 1 }]);
});

test("thoughts, summaries and calls grow beside each other", () => {
  const answer = tell(
    new Answer(),
    { type: "response.created", response: RESPONSE },
    { type: "response.output_item.added", output_index: 0, item: { type: "reasoning", id: "rs_1", status: "in_progress", summary: [] } },
    { type: "response.output_item.added", output_index: 1, item: { type: "function_call", id: "fc_1", name: "weather", arguments: "" } },
    { type: "response.content_part.added", output_index: 0, content_index: 0, part: { type: "reasoning_text", text: "" } },
    { type: "response.reasoning.delta", output_index: 0, content_index: 0, delta: "I think" },
    { type: "response.function_call_arguments.delta", output_index: 1, delta: '{"city":' },
    { type: "response.reasoning_summary_part.added", output_index: 0, summary_index: 0, part: { type: "summary_text", text: "" } },
    { type: "response.reasoning_summary_text.delta", output_index: 0, summary_index: 0, delta: "In short" },
    { type: "response.function_call_arguments.delta", output_index: 1, delta: '"Oslo"}' },
  );
  assert.equal(answer.items[0].content[0].text, "I think");
  assert.equal(answer.items[0].summary[0].text, "In short");
  assert.equal(answer.items[1].arguments, '{"city":"Oslo"}');
});

test("events that nobody knows, or whose item is missing, change nothing", () => {
  const answer = tell(begin(), { type: "keepalive" }, { type: "response.new_thing.delta", output_index: 0, delta: "?" }, { ...delta("lost"), output_index: 7 });
  assert.equal(answer.text, "");
});

test("an answer of the history that was cut says so", () => {
  assert.equal(Answer.ofItems("resp_1", [{ type: "message", status: "incomplete", content: [] }]).status, "incomplete");
  assert.equal(Answer.ofItems("resp_1", [{ type: "message", status: "completed", content: [] }]).status, "completed");
});
