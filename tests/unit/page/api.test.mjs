// Requests of the page: the secret, refusals, retries.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, ApiError, NetworkError, SignedOut } from "../../../prompts/static/page/api.js";
import { openApi, refuse, sendJson, startServer } from "./server.mjs";

test("a request carries the secret, its query and its body, and gives the JSON of the answer", async () => {
  const { baseUrl, requests } = await startServer((_, response) => sendJson(response, { id: "conv_1" }));
  const { api } = openApi(baseUrl);
  const query = { limit: 5, after: undefined, query: "a b&c" };
  assert.deepEqual(await api.post("/conversations", { query, body: { metadata: {} } }), { id: "conv_1" });
  const [{ method, path, headers, body }] = requests;
  assert.deepEqual([method, path, body], ["POST", "/v1/conversations?limit=5&query=a+b%26c", { metadata: {} }]);
  assert.equal(headers.authorization, "Bearer secret 1");
});

test("requests at once share one secret, and it is kept", async () => {
  const { baseUrl } = await startServer((_, response) => sendJson(response, {}));
  const { api, countSecrets } = openApi(baseUrl);
  await Promise.all([api.get("/a"), api.get("/b"), api.del("/c")]);
  await api.put("/d", { body: {} });
  assert.equal(countSecrets(), 1);
});

test("a list is read to its end, page by page", async () => {
  const pages = [{ data: [1, 2], has_more: true, last_id: "b" }, { data: [3], has_more: false, last_id: "c" }];
  const { baseUrl, requests } = await startServer(({ number }, response) => sendJson(response, pages[number]));
  assert.deepEqual(await openApi(baseUrl).api.listAll("/files", { query: { purpose: "vision" } }), [1, 2, 3]);
  assert.deepEqual(requests.map(({ path }) => path), ["/v1/files?purpose=vision&limit=100", "/v1/files?purpose=vision&limit=100&after=b"]);
});

test("a secret is renewed before it ends", async () => {
  const { baseUrl, requests } = await startServer((_, response) => sendJson(response, {}));
  const { api } = openApi(baseUrl, { lifeS: 0.05 });
  await api.get("/a");
  await new Promise((resolve) => setTimeout(resolve, 60));
  await api.get("/b");
  assert.deepEqual(requests.map(({ headers }) => headers.authorization), ["Bearer secret 1", "Bearer secret 2"]);
});

test("a secret that is refused is renewed once", async () => {
  const { baseUrl, requests } = await startServer(({ headers }, response) => {
    if (headers.authorization === "Bearer secret 1") refuse(response, 401, { code: "invalid_api_key" });
    else sendJson(response, { ok: true });
  });
  assert.deepEqual(await openApi(baseUrl).api.get("/a"), { ok: true });
  assert.equal(requests.length, 2);
  const { baseUrl: strict } = await startServer((_, response) => refuse(response, 401, { code: "invalid_api_key" }));
  await assert.rejects(openApi(strict).api.get("/a"), { name: "ApiError", status: 401, code: "invalid_api_key" });
});

test("a session that is over is said, and asked for again next time", async () => {
  let asked = 0;
  const getSecret = async () => {
    asked += 1;
    throw new SignedOut("You are signed out.");
  };
  const api = new Api({ baseUrl: "http://127.0.0.1:9/v1", getSecret });
  await assert.rejects(api.get("/a"), SignedOut);
  await assert.rejects(api.get("/a"), SignedOut);
  assert.equal(asked, 2);
});

test("a refusal has its code, sentence, field, request id and wait", async () => {
  const said = { code: "conversation_locked", message: "It is busy.", param: "conversation", active_response_id: "resp_1" };
  const { baseUrl, requests } = await startServer((_, response) =>
    refuse(response, 409, said, { "Retry-After": "2", "x-request-id": "req_7" }),
  );
  await assert.rejects(openApi(baseUrl).api.get("/a"), {
    name: "ApiError",
    status: 409,
    code: "conversation_locked",
    message: "It is busy.",
    param: "conversation",
    requestId: "req_7",
    retryAfterS: 2,
    activeResponseId: "resp_1",
  });
  assert.equal(requests.length, 1);
});

test("a page of a proxy is a refusal too", async () => {
  const { baseUrl } = await startServer((_, response) => response.writeHead(413).end("<h1>Too large</h1>"));
  await assert.rejects(openApi(baseUrl).api.get("/a"), (error) => error instanceof ApiError && error.status === 413);
});

for (const verb of ["get", "put", "del"]) {
  test(`${verb} is tried again after a lost connection, and when the server is not ready`, async () => {
    const { baseUrl, requests } = await startServer(({ number }, response) => {
      if (number === 0) response.destroy();
      else if (number === 1) refuse(response, 503, { code: "draining" }, { "Retry-After": "0" });
      else if (number === 2) response.writeHead(502).end("<h1>Bad gateway</h1>");
      else sendJson(response, { ok: true });
    });
    assert.deepEqual(await openApi(baseUrl).api[verb]("/a"), { ok: true });
    assert.equal(requests.length, 4);
  });
}

test("an answer that is cut is tried again", async () => {
  const { baseUrl } = await startServer(({ number }, response) => {
    if (number > 0) return sendJson(response, { ok: true });
    response.writeHead(200, { "Content-Length": 100 }).write('{"ok"');
    setTimeout(() => response.destroy(), 10);
  });
  assert.deepEqual(await openApi(baseUrl).api.get("/a"), { ok: true });
});

test("a POST is tried again after a lost connection only with its key, which stays the same", async () => {
  const { baseUrl, requests } = await startServer(({ number }, response) =>
    number < 2 ? response.destroy() : sendJson(response, { ok: true }),
  );
  const { api } = openApi(baseUrl);
  await assert.rejects(api.post("/a", { body: {} }), NetworkError);
  assert.deepEqual(await api.post("/a", { body: {}, idempotencyKey: "k1" }), { ok: true });
  assert.deepEqual(requests.map(({ headers }) => headers["idempotency-key"]), [undefined, "k1", "k1"]);
});

test("a failure of the model's server is told, not tried again", async () => {
  const { baseUrl, requests } = await startServer((_, response) => refuse(response, 502, { code: "upstream_error" }));
  await assert.rejects(openApi(baseUrl).api.get("/a"), { code: "upstream_error" });
  assert.equal(requests.length, 1);
});

test("a long wait is told at once", async () => {
  const { baseUrl, requests } = await startServer((_, response) =>
    refuse(response, 503, { code: "overloaded" }, { "Retry-After": "60" }),
  );
  await assert.rejects(openApi(baseUrl).api.get("/a"), { code: "overloaded", retryAfterS: 60 });
  assert.equal(requests.length, 1);
});

test("who stops waiting gets their own reason, also between two tries", async () => {
  const { baseUrl } = await startServer((_, response) => response.destroy());
  const leaving = new AbortController();
  setTimeout(() => leaving.abort(new Error("closed")), 50);
  await assert.rejects(openApi(baseUrl).api.get("/a", { signal: leaving.signal }), { message: "closed" });
});
