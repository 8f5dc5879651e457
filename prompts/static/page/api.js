/** The service's HTTP API, as any client uses it: with a secret that lives for minutes and renews itself. */

/** The session is over: only signing in again helps. */
export class SignedOut extends Error {
  name = "SignedOut";
}

/** An answer that refuses. Its message is a sentence for people, its code is stable: docs/api.md, "Errors". */
export class ApiError extends Error {
  name = "ApiError";

  /**
   * @param {{status: number, code?: string | null, message: string, param?: string | null, requestId?: string | null,
   *   retryAfterS?: number | null, activeResponseId?: string | null}} said
   */
  constructor({ status, code, message, param, requestId, retryAfterS, activeResponseId }) {
    super(message);
    this.status = status;
    this.code = code ?? "unknown";
    this.param = param ?? null;
    this.requestId = requestId ?? null;
    this.retryAfterS = retryAfterS ?? null;
    /** Of `conversation_locked`: the response that is being written. */
    this.activeResponseId = activeResponseId ?? null;
  }
}

/** The server was not reached, or the answer broke off. */
export class NetworkError extends Error {
  name = "NetworkError";
  code = "network";
}

/** The waits between tries of a request: about 3 s in all, as long as a replica's loss is felt. */
const RETRY_WAITS_MS = [200, 400, 800, 1600];
/** A longer wait is not for a person in front of a page: they are told instead. */
const MAX_RETRY_AFTER_S = 5;
/** Renewed so long before it expires, or when a tenth of its life is left. */
const RENEWAL_MARGIN_MS = 30_000;
/** Lists give no more at once. */
const MAX_PAGE = 100;

/** @typedef {{value: string, expires_at: number}} Secret `expires_at` in seconds since 1970 */

export class Api {
  /** @type {Promise<Secret> | null} */
  #secret = null;
  #renewAt = 0;
  #getSecret;

  /** @param {{baseUrl?: string, getSecret?: () => Promise<Secret>}} [options] */
  constructor({ baseUrl = "/v1", getSecret = fetchClientSecret } = {}) {
    this.baseUrl = baseUrl.replace(/\/$/, "");
    this.#getSecret = getSecret;
  }

  /** @param {string} path @param {RequestOptions} [options] */
  get(path, options) {
    return this.#exchange("GET", path, { ...options, isSafeToRepeat: true });
  }

  /**
   * Repeated after a network failure only with an `idempotencyKey`, which makes that safe.
   * @param {string} path @param {RequestOptions} [options]
   */
  post(path, options = {}) {
    return this.#exchange("POST", path, { ...options, isSafeToRepeat: Boolean(options.idempotencyKey) });
  }

  /** @param {string} path @param {RequestOptions} [options] */
  put(path, options) {
    return this.#exchange("PUT", path, { ...options, isSafeToRepeat: true });
  }

  /** @param {string} path @param {RequestOptions} [options] */
  del(path, options) {
    return this.#exchange("DELETE", path, { ...options, isSafeToRepeat: true });
  }

  /** All entries of a list, page by page. @param {string} path @param {RequestOptions} [options] */
  async listAll(path, options = {}) {
    const found = [];
    for (let after; ; ) {
      const page = await this.get(path, { ...options, query: { ...options.query, limit: MAX_PAGE, after } });
      found.push(...page.data);
      if (!page.has_more) return found;
      after = page.last_id;
    }
  }

  /**
   * One request, without retries but for a renewed secret: a good answer as it comes, for a stream or a file.
   *
   * @typedef {{query?: Record<string, unknown>, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal,
   *   idempotencyKey?: string}} RequestOptions
   * @param {string} method @param {string} path @param {RequestOptions} [options]
   * @returns {Promise<Response>}
   * @throws {ApiError | NetworkError | SignedOut}
   */
  async open(method, path, options = {}) {
    const answer = await this.#send(method, path, options, await this.getSecretValue());
    if (answer.status !== 401) return orRefusal(answer);
    this.forgetSecret();
    return orRefusal(await this.#send(method, path, options, await this.getSecretValue()));
  }

  /** The secret's value, renewed when it is due. For what `fetch` cannot do, such as the progress of an upload. */
  async getSecretValue() {
    if (this.#secret === null || Date.now() >= this.#renewAt) this.#renew();
    const { value } = await /** @type {Promise<Secret>} */ (this.#secret);
    return value;
  }

  /** The next request gets a new one: this one was refused. */
  forgetSecret() {
    this.#secret = null;
  }

  #renew() {
    const renewed = this.#getSecret().then((secret) => {
      const lifeMs = secret.expires_at * 1000 - Date.now();
      // A clock that is wrong makes nonsense of it; then a 401 tells when it is over.
      const untilMs = lifeMs > 0 ? Math.max(lifeMs - RENEWAL_MARGIN_MS, lifeMs * 0.9) : RENEWAL_MARGIN_MS;
      this.#renewAt = Date.now() + untilMs;
      return secret;
    });
    this.#renewAt = Infinity; // other requests wait for the same secret
    this.#secret = renewed;
    renewed.catch(() => {
      if (this.#secret === renewed) this.#secret = null;
    });
  }

  /** @param {string} method @param {string} path @param {RequestOptions & {isSafeToRepeat: boolean}} options */
  async #exchange(method, path, options) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await readJson(await this.open(method, path, options));
      } catch (error) {
        const waitMs = findRetryWaitMs(error, attempt, options.isSafeToRepeat);
        if (waitMs === null) throw error;
        await sleep(waitMs, options.signal);
      }
    }
  }

  /** @param {string} method @param {string} path @param {RequestOptions} options @param {string} secret */
  async #send(method, path, { query, body, headers, signal, idempotencyKey }, secret) {
    const request = {
      method,
      signal,
      cache: /** @type {const} */ ("no-store"),
      credentials: /** @type {const} */ ("omit"),
      headers: {
        Authorization: `Bearer ${secret}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    };
    try {
      return await fetch(this.baseUrl + path + composeQuery(query), request);
    } catch (error) {
      throw asNetworkError(error, signal);
    }
  }
}

/**
 * A new secret for the person who is signed in.
 * @param {string} [url]
 * @returns {Promise<Secret>}
 * @throws {ApiError | NetworkError | SignedOut}
 */
export async function fetchClientSecret(url = "/page/client_secret") {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const headers = { "X-CSRFToken": findCookie("csrftoken"), Accept: "application/json" };
      const answer = await fetch(url, { method: "POST", headers, redirect: "manual", cache: "no-store" });
      // A redirection goes to the page where one signs in.
      if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) {
        throw new SignedOut("You are signed out. Sign in again.");
      }
      return await readJson(await orRefusal(answer));
    } catch (error) {
      const failure = error instanceof TypeError ? asNetworkError(error) : error;
      const waitMs = findRetryWaitMs(failure, attempt, true);
      if (waitMs === null) throw failure;
      await sleep(waitMs);
    }
  }
}

/**
 * What an answer that refuses says, whoever sent it: the service, or a proxy with a page of its own.
 * @param {number} status @param {string} text the body @param {(name: string) => string | null} header
 */
export function readRefusal(status, text, header) {
  const said = readEnvelope(text);
  return new ApiError({
    status,
    code: said.code ?? said.type,
    message: said.message ?? `The server answered ${status}. Try again in a moment.`,
    param: said.param,
    requestId: header("x-request-id"),
    retryAfterS: readRetryAfter(header("retry-after")),
    activeResponseId: said.active_response_id,
  });
}

/** @param {string} text @returns {Record<string, any>} */
function readEnvelope(text) {
  try {
    const { error } = JSON.parse(text);
    return typeof error?.message === "string" ? error : {};
  } catch {
    return {};
  }
}

/** Seconds, or a date. @param {string | null} value */
function readRetryAfter(value) {
  if (!value) return null;
  const seconds = Number(value);
  const left = Number.isNaN(seconds) ? (Date.parse(value) - Date.now()) / 1000 : seconds;
  return Number.isFinite(left) ? Math.max(0, left) : null;
}

/** @param {Response} answer */
async function orRefusal(answer) {
  if (answer.ok) return answer;
  const text = await answer.text().catch(() => "");
  throw readRefusal(answer.status, text, (name) => answer.headers.get(name));
}

/** @param {Response} answer */
async function readJson(answer) {
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch (error) {
    throw asNetworkError(error);
  }
}

/**
 * How long to wait before the next try; null when trying again does not help.
 * @param {unknown} error @param {number} attempt from 0 @param {boolean} isSafeToRepeat
 */
export function findRetryWaitMs(error, attempt, isSafeToRepeat) {
  if (attempt >= RETRY_WAITS_MS.length) return null;
  const waitMs = RETRY_WAITS_MS[attempt] * (0.75 + Math.random() / 2);
  if (error instanceof NetworkError) return isSafeToRepeat ? waitMs : null;
  // 503: refused before anything was done. 502 and 504 come from a proxy whose replica has gone.
  const isPassing = error instanceof ApiError && (error.status === 503 || (isSafeToRepeat && isProxys(error)));
  if (!isPassing || (error.retryAfterS ?? 0) > MAX_RETRY_AFTER_S) return null;
  return Math.max(waitMs, (error.retryAfterS ?? 0) * 1000);
}

/** Whether a proxy said so and not the service, whose refusals have a code. @param {ApiError} error */
const isProxys = (error) => [502, 504].includes(error.status) && error.code === "unknown";

/** @param {unknown} error @param {AbortSignal} [signal] */
function asNetworkError(error, signal) {
  if (signal?.aborted) return signal.reason;
  return new NetworkError("The server cannot be reached.", { cause: error });
}

/** @param {Record<string, unknown>} [query] what is null or undefined is left out */
function composeQuery(query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  return pairs.length ? `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : "";
}

/** @param {string} name */
function findCookie(name) {
  const pairs = document.cookie.split("; ").map((pair) => pair.split("="));
  return decodeURIComponent(pairs.find(([key]) => key === name)?.[1] ?? "");
}

/**
 * @param {number} ms @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", leave, { once: true });
    function done() {
      signal?.removeEventListener("abort", leave);
      resolve();
    }
    function leave() {
      clearTimeout(timer);
      reject(signal?.reason);
    }
  });
}
