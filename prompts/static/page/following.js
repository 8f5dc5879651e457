/** Following a turn to its end, over whatever happens to the connection on the way. */

import { ApiError, NetworkError } from "./api.js";
import { readEvents } from "./event_stream.js";

/** The service sends something every 15 s at least. After so long without a byte the connection is dead. */
const MAX_SILENCE_MS = 25_000;
/** A person looks at the page: long waits help nobody. */
const WAITS_MS = [100, 300, 800, 1500, 3000, 5000];
/** How often a server that refuses for the moment is asked again before the person is told. */
const MAX_REFUSALS = 6;

/** The events that end a response, by its status. A cancelled one ends with `response.incomplete`. */
const TERMINAL = {
  completed: "response.completed",
  incomplete: "response.incomplete",
  cancelled: "response.incomplete",
  failed: "response.failed",
};
const TERMINAL_TYPES = new Set(Object.values(TERMINAL));

/** @param {{type: string}} event whether it is a response's last one */
export const isTerminal = (event) => TERMINAL_TYPES.has(event.type);

/** @typedef {"connecting" | "live" | "interrupted" | "offline" | "ended"} State */
/** @typedef {{type: string, sequence_number?: number, response?: Record<string, any>} & Record<string, any>} TurnEvent */

/**
 * Begin a turn, or follow one that has begun, until its terminal event: each event once, in order, without a hole.
 * A connection that breaks, or says nothing, is replaced; `onState` tells what a person may see of that.
 *
 * @param {import("./api.js").Api} api
 * @param {{body: Record<string, unknown>, idempotencyKey?: string} | {responseId: string, after?: number}} turn
 *   the body of `POST /v1/responses`; or a response, and the number of the last event that is known of it
 * @param {{signal?: AbortSignal, onState?: (state: State) => void, maxSilenceMs?: number}} [options]
 *   `signal` ends the following, not the answer: `POST /v1/responses/{id}/cancel` does that
 * @returns {AsyncGenerator<TurnEvent>}
 * @throws {ApiError} the turn was refused, or the response does not exist (any more)
 * @throws {import("./api.js").SignedOut}
 */
export async function* followTurn(api, turn, { signal, onState = () => {}, maxSilenceMs = MAX_SILENCE_MS } = {}) {
  const place = new Place(turn);
  let failures = 0; // since something was heard
  onState("connecting");
  for (;;) {
    signal?.throwIfAborted();
    const line = new Line(signal);
    let failure;
    try {
      const answer = await place.open(api, line.signal);
      for await (const event of readTurn(answer, maxSilenceMs, line)) {
        if (failures !== null) onState("live");
        failures = null;
        if (!place.passes(event)) continue;
        yield event;
        if (isTerminal(event)) return onState("ended");
      }
    } catch (error) {
      failure = error;
    } finally {
      line.close();
    }
    signal?.throwIfAborted();
    if (isExpired(failure)) return yield* tellStored(api, place, { signal, onState });
    failures ??= 0;
    if (failure && !isPassing(failure, failures, place)) throw failure;
    onState(isOnline() ? "interrupted" : "offline");
    await pause(failures, failure, signal);
    failures += 1;
  }
}

/** Where the reader stands: which response, and the number of its last event. */
class Place {
  /** @param {{body?: Record<string, unknown>, idempotencyKey?: string, responseId?: string, after?: number}} turn */
  constructor({ body, idempotencyKey, responseId, after = -1 }) {
    this.body = body;
    this.key = idempotencyKey ?? crypto.randomUUID(); // the same for every try, so that the turn begins once
    this.responseId = responseId;
    this.after = after;
  }

  /** @param {import("./api.js").Api} api @param {AbortSignal} signal */
  open(api, signal) {
    if (this.responseId === undefined) {
      const body = { ...this.body, stream: true };
      return api.open("POST", "/responses", { body, idempotencyKey: this.key, signal });
    }
    const query = { stream: true, starting_after: this.after < 0 ? undefined : this.after };
    return api.open("GET", `/responses/${encodeURIComponent(this.responseId)}`, { query, signal });
  }

  /** Whether the event is the next one. One that was seen is not; a hole breaks the connection. @param {TurnEvent} event */
  passes(event) {
    const number = event.sequence_number;
    if (number === undefined || number <= this.after) return false; // `keepalive` has no number
    if (number > this.after + 1 && this.after >= 0) throw new NetworkError("An event is missing.");
    this.after = number;
    this.responseId ??= event.response?.id;
    return true;
  }
}

/** One connection: it closes when the reader leaves, and when the browser says that the network is gone. */
class Line {
  #controller = new AbortController();
  #outer;
  #close = () => this.#controller.abort(new NetworkError("The network is gone."));
  #leave = () => this.#controller.abort(this.#outer?.reason);

  /** @param {AbortSignal} [outer] */
  constructor(outer) {
    this.#outer = outer;
    outer?.addEventListener("abort", this.#leave);
    globalThis.addEventListener?.("offline", this.#close);
  }

  get signal() {
    return this.#controller.signal;
  }

  close() {
    this.#outer?.removeEventListener("abort", this.#leave);
    globalThis.removeEventListener?.("offline", this.#close);
    this.#controller.abort();
  }
}

/** @param {Response} answer @param {number} maxSilenceMs @param {Line} line @returns {AsyncGenerator<TurnEvent>} */
async function* readTurn(answer, maxSilenceMs, line) {
  if (answer.body === null) throw new NetworkError("The answer has no body.");
  try {
    for await (const { data } of readEvents(answer.body, { maxSilenceMs })) {
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  } catch (error) {
    if (line.signal.aborted) throw line.signal.reason;
    throw error instanceof NetworkError ? error : new NetworkError("The answer broke off.", { cause: error });
  }
}

/** The log is over: what is stored of the response says its end. */
async function* tellStored(api, place, { signal, onState }) {
  const response = await api.get(`/responses/${encodeURIComponent(place.responseId)}`, { signal });
  onState("ended");
  yield { type: TERMINAL[response.status] ?? TERMINAL.failed, response };
}

/** @param {unknown} error */
const isExpired = (error) => error instanceof ApiError && error.code === "stream_expired";

/**
 * Whether trying again may help: always when the server was not reached, for some time when it is not ready.
 * @param {unknown} error @param {number} failures @param {Place} place
 */
function isPassing(error, failures, place) {
  if (error instanceof NetworkError) return true;
  if (!(error instanceof ApiError) || failures >= MAX_REFUSALS) return false;
  const hasBegun = place.responseId !== undefined;
  return [502, 503, 504].includes(error.status) || (hasBegun && error.code === "rate_limit_exceeded");
}

/**
 * Wait before the next try; shorter when the network comes back, or the person to the page.
 * @param {number} failures @param {unknown} error @param {AbortSignal} [signal]
 */
async function pause(failures, error, signal) {
  const waitMs = WAITS_MS[Math.min(failures, WAITS_MS.length - 1)] * (0.75 + Math.random() / 2);
  const askedMs = error instanceof ApiError ? (error.retryAfterS ?? 0) * 1000 : 0;
  await untilAny(Math.max(waitMs, askedMs), ["online", "visibilitychange"], signal);
}

const isOnline = () => globalThis.navigator?.onLine !== false;

/**
 * Until the time is over or one of the events happens.
 * @param {number} ms @param {string[]} names @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
function untilAny(ms, names, signal) {
  const heard = new AbortController();
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    const listening = { signal: heard.signal };
    for (const name of names) {
      const target = name === "visibilitychange" ? globalThis.document : globalThis;
      target?.addEventListener?.(name, () => resolve(), listening);
    }
    signal?.addEventListener("abort", () => reject(signal.reason), listening);
    heard.signal.addEventListener("abort", () => clearTimeout(timer));
  }).finally(() => heard.abort());
}
