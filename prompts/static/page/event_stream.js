/**
 * Server-sent events, read from the body of a `fetch`. `EventSource` can send neither a POST nor a header.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */

/** Nothing came for longer than the reader waits. */
export class Silence extends Error {
  name = "Silence";
}

/**
 * The events of a stream, however its bytes are cut. What a broken connection left of an event is dropped.
 * Leaving the loop closes the stream.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {{maxSilenceMs?: number}} [options] after so long without a byte, comments included, it throws `Silence`
 * @returns {AsyncGenerator<{event: string, data: string}>}
 */
export async function* readEvents(body, { maxSilenceMs = Infinity } = {}) {
  const parser = new EventParser();
  const decoder = new TextDecoder(); // it drops a byte order mark
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await orSilence(reader.read(), maxSilenceMs);
      if (done) return;
      yield* parser.parse(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {}); // not awaited: a connection that hangs would keep us
  }
}

/** Makes events of text that comes in pieces. */
export class EventParser {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];

  /**
   * The events that this piece completes.
   * @param {string} text
   * @returns {Generator<{event: string, data: string}>}
   */
  *parse(text) {
    // A line ends with CR, LF or both. A CR at the end of the piece may be half of such an end: it waits.
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") yield* this.#dispatch();
      else this.#readField(line);
    }
  }

  *#dispatch() {
    const [event, data] = [this.#event || "message", this.#data];
    this.#event = "";
    this.#data = [];
    if (data.length) yield { event, data: data.join("\n") };
  }

  /** @param {string} line */
  #readField(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon); // a comment's name is empty
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
  }
}

/**
 * @template Value
 * @param {Promise<Value>} promise
 * @param {number} maxSilenceMs
 * @returns {Promise<Value>}
 */
async function orSilence(promise, maxSilenceMs) {
  if (maxSilenceMs === Infinity) return promise;
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Silence(`nothing came for ${maxSilenceMs} ms`)), maxSilenceMs);
  });
  try {
    return await Promise.race([promise, silence]);
  } finally {
    clearTimeout(timer);
  }
}
