// A server on loopback that answers as a test says, and remembers what it was asked.
import { once } from "node:events";
import { createServer } from "node:http";
import { after } from "node:test";
import { Api } from "../../../prompts/static/page/api.js";

/**
 * @param {(request: {method: string, path: string, headers: Record<string, string>, body: any, number: number},
 *   response: import("node:http").ServerResponse) => void | Promise<void>} answer
 */
export async function startServer(answer) {
  const requests = [];
  const server = createServer(async (message, response) => {
    let text = "";
    for await (const piece of message) text += piece;
    const { method, url: path, headers } = message;
    const request = { method, path, headers, body: text ? JSON.parse(text) : null, number: requests.length };
    requests.push(request);
    await answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { requests, server, baseUrl: `http://127.0.0.1:${server.address().port}/v1` };
}

export const sendJson = (response, value, { status = 200, headers = {} } = {}) =>
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(value));

export const refuse = (response, status, error, headers = {}) =>
  sendJson(response, { error: { message: "No.", type: "some_error", param: null, ...error } }, { status, headers });

/** An API whose secrets are "secret 1", "secret 2" … and live for a minute. */
export function openApi(baseUrl, { lifeS = 60 } = {}) {
  let made = 0;
  const getSecret = async () => ({ value: `secret ${(made += 1)}`, expires_at: Date.now() / 1000 + lifeS });
  return { api: new Api({ baseUrl, getSecret }), countSecrets: () => made };
}
