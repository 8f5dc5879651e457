// A turn is followed to its end, over whatever happens to the connection.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { followTurn } from "../../../prompts/static/page/following.js";
import { openApi, refuse, sendJson, startServer } from "./server.mjs";

const ID = "resp_1";
const EVENTS = [
  { type: "response.created", response: { id: ID, status: "in_progress" } },
  { type: "response.in_progress", response: { id: ID, status: "in_progress" } },
  { type: "response.output_text.delta", delta: "Grüße" },
  { type: "response.output_text.delta", delta: " 🌍" },
  { type: "response.completed", response: { id: ID, status: "completed" } },
].map((event, number) => ({ ...event, sequence_number: number }));

const frame = (event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
const KEEP_ALIVE = ': keepalive\n\nevent: keepalive\ndata: {"type":"keepalive"}\n\n';
const ALL = `${EVENTS.map(frame).join("")}data: [DONE]\n\n`;

function begin(response) {
  return response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
}

/** What the service says: the events above the cursor. */
function tell(request, response) {
  const after = new URL(request.path, "http://x").searchParams.get("starting_after");
  const events = EVENTS.filter(({ sequence_number }) => after === null || sequence_number > Number(after));
  begin(response).end(`${events.map(frame).join("")}data: [DONE]\n\n`);
}

async function follow(baseUrl, turn = { body: { input: "Hi" } }, options = {}) {
  const [events, states] = [[], []];
  const { api } = openApi(baseUrl);
  for await (const event of followTurn(api, turn, { ...options, onState: (state) => states.push(state) })) {
    events.push(event);
  }
  return { events, states };
}

test("a turn begins with a POST and ends with its terminal event", async () => {
  const { baseUrl, requests } = await startServer(tell);
  const { events, states } = await follow(baseUrl);
  assert.deepEqual(events, EVENTS);
  assert.deepEqual(states, ["connecting", "live", "ended"]);
  const [{ method, path, body, headers }] = requests;
  assert.deepEqual([method, path, body], ["POST", "/v1/responses", { input: "Hi", stream: true }]);
  assert.match(headers["idempotency-key"], /^[\w-]{36}$/);
});

test("a connection that breaks at any byte leaves no hole and no repeat", async () => {
  const bytes = new TextEncoder().encode(ALL);
  const cuts = Array.from({ length: Math.ceil(bytes.length / 5) }, (_, index) => index * 5);
  await Promise.all(cuts.map(async (cut) => {
    const { baseUrl, requests } = await startServer((request, response) => {
      if (request.number > 0) return tell(request, response);
      begin(response).write(bytes.slice(0, cut));
      setTimeout(() => response.destroy(), 2);
    });
    assert.deepEqual((await follow(baseUrl)).events, EVENTS, `cut at ${cut}`);
    const hasBegun = cut >= frame(EVENTS[0]).length;
    if (requests.length > 1 && !hasBegun) assert.equal(requests[1].method, "POST", `cut at ${cut}`);
  }));
});

test("a try that may have begun the turn is repeated with the same key", async () => {
  const { baseUrl, requests } = await startServer((request, response) =>
    request.number < 2 ? response.destroy() : tell(request, response),
  );
  const { states } = await follow(baseUrl);
  assert.equal(new Set(requests.map(({ headers }) => headers["idempotency-key"])).size, 1);
  assert.equal(requests.length, 3);
  assert.deepEqual(states, ["connecting", "interrupted", "interrupted", "live", "ended"]);
});

test("a response that runs is followed from where its reader stands", async () => {
  const { baseUrl, requests } = await startServer(tell);
  const { events } = await follow(baseUrl, { responseId: ID, after: 2 });
  assert.deepEqual(events, EVENTS.slice(3));
  assert.equal(requests[0].path, `/v1/responses/${ID}?stream=true&starting_after=2`);
  assert.deepEqual((await follow(baseUrl, { responseId: ID })).events, EVENTS);
  assert.equal(requests[1].path, `/v1/responses/${ID}?stream=true`);
});

test("a connection that says nothing is replaced; one that says that it lives is kept", async () => {
  const { baseUrl, requests } = await startServer(async (request, response) => {
    if (request.number > 0) return tell(request, response);
    begin(response).write(frame(EVENTS[0]));
    for (let beat = 0; beat < 5; beat += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      response.write(KEEP_ALIVE);
    }
  });
  const start = performance.now();
  const { events, states } = await follow(baseUrl, undefined, { maxSilenceMs: 250 });
  assert.deepEqual(events, EVENTS);
  assert.equal(requests.length, 2);
  assert.ok(performance.now() - start > 700);
  assert.deepEqual(states, ["connecting", "live", "interrupted", "live", "ended"]);
});

test("a stream that ends too soon, or skips an event, is asked again", async () => {
  const { baseUrl } = await startServer((request, response) => {
    if (request.number === 0) begin(response).end(frame(EVENTS[0]));
    else if (request.number === 1) begin(response).end(frame(EVENTS[1]) + frame(EVENTS[3]));
    else tell(request, response);
  });
  assert.deepEqual((await follow(baseUrl)).events, EVENTS);
});

test("a repeated event is not told twice", async () => {
  const { baseUrl } = await startServer((request, response) => {
    if (request.number === 0) begin(response).end(EVENTS.slice(0, 3).map(frame).join(""));
    else begin(response).end(ALL);
  });
  assert.deepEqual((await follow(baseUrl)).events, EVENTS);
});

test("a log that is over is told from what is stored", async () => {
  for (const [status, type] of [["completed", "response.completed"], ["cancelled", "response.incomplete"]]) {
    const stored = { id: ID, status, output: [] };
    const { baseUrl } = await startServer((request, response) => {
      if (request.path.includes("stream")) refuse(response, 410, { code: "stream_expired" });
      else sendJson(response, stored);
    });
    const { events, states } = await follow(baseUrl, { responseId: ID, after: 3 });
    assert.deepEqual(events, [{ type, response: stored }]);
    assert.equal(states.at(-1), "ended");
  }
});

test("a server that is not ready is asked again, and after some time it is said", async () => {
  const { baseUrl } = await startServer((request, response) =>
    request.number < 2 ? refuse(response, 503, { code: "draining" }) : tell(request, response),
  );
  assert.deepEqual((await follow(baseUrl)).events, EVENTS);
});

test("a refusal is thrown with its code", async () => {
  const refusals = [
    [404, { code: "response_not_found" }],
    [409, { code: "conversation_locked", active_response_id: "resp_2" }],
    [400, { code: "invalid_request_error", param: "input" }],
    [429, { code: "quota_exceeded" }],
  ];
  for (const [status, said] of refusals) {
    const { baseUrl, requests } = await startServer((_, response) => refuse(response, status, said));
    const { active_response_id: activeResponseId = null, ...rest } = said;
    await assert.rejects(follow(baseUrl), { name: "ApiError", status, activeResponseId, ...rest });
    assert.equal(requests.length, 1);
  }
});

test("who stops following closes the connection, and cancels nothing", async () => {
  let closed;
  const { baseUrl, requests } = await startServer((_, response) => {
    closed = once(response, "close");
    begin(response).write(EVENTS.slice(0, 3).map(frame).join(""));
  });
  const leaving = new AbortController();
  const seen = [];
  await assert.rejects(async () => {
    for await (const event of followTurn(openApi(baseUrl).api, { body: {} }, { signal: leaving.signal })) {
      seen.push(event);
      if (seen.length === 3) leaving.abort(new Error("left"));
    }
  }, { message: "left" });
  await closed;
  assert.equal(seen.length, 3);
  assert.equal(requests.length, 1);
});

test("leaving the loop closes the connection as well", async () => {
  let closed;
  const { baseUrl } = await startServer((_, response) => {
    closed = once(response, "close");
    begin(response).write(frame(EVENTS[0]));
  });
  for await (const _ of followTurn(openApi(baseUrl).api, { body: {} })) break;
  await closed;
});
