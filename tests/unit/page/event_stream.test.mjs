// Server-sent events, however their bytes are cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvents, Silence } from "../../../prompts/static/page/event_stream.js";

const LINES = [
  ": a comment",
  "event: response.created",
  'data: {"a":1}',
  "",
  "data:no blank",
  "data:  two blanks, and a second line",
  "",
  "event: nothing to say",
  "",
  "id: 7",
  "retry: 10",
  "unknown: field",
  "data",
  "",
  "data: grüße 🌍",
  "",
  "data: the connection broke before this one was whole",
];
const EVENTS = [
  { event: "response.created", data: '{"a":1}' },
  { event: "message", data: "no blank\n two blanks, and a second line" },
  { event: "message", data: "" },
  { event: "message", data: "grüße 🌍" },
];

const streamOf = (...pieces) =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });

async function read(stream) {
  const events = [];
  for await (const event of readEvents(stream)) events.push(event);
  return events;
}

for (const [name, end] of [["LF", "\n"], ["CRLF", "\r\n"], ["CR", "\r"]]) {
  test(`events are the same wherever a stream with ${name} is cut`, async () => {
    const bytes = new TextEncoder().encode(LINES.join(end));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      assert.deepEqual(await read(streamOf(bytes.slice(0, cut), bytes.slice(cut))), EVENTS, `cut at ${cut}`);
    }
    assert.deepEqual(await read(streamOf(...Array.from(bytes, (byte) => Uint8Array.of(byte)))), EVENTS);
  });
}

test("a byte order mark is no part of the first field", async () => {
  assert.deepEqual(await read(streamOf(Uint8Array.of(0xef, 0xbb, 0xbf), new TextEncoder().encode("data: x\n\n"))), [
    { event: "message", data: "x" },
  ]);
});

test("a stream that says nothing any more is a silence, and closed", async () => {
  let isClosed = false;
  const stream = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => void (isClosed = true),
  });
  const seen = [];
  await assert.rejects(async () => {
    for await (const { data } of readEvents(stream, { maxSilenceMs: 30 })) seen.push(data);
  }, Silence);
  assert.deepEqual(seen, ["x"]);
  assert.ok(isClosed);
});

test("who leaves closes the stream", async () => {
  let isClosed = false;
  const stream = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: x\n\n")),
    cancel: () => void (isClosed = true),
  });
  for await (const _ of readEvents(stream)) break;
  assert.ok(isClosed);
});
