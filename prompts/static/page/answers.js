/**
 * An answer as it grows: the events of a response, put together to the items that the response will have.
 */

const ENDINGS = ["response.completed", "response.incomplete", "response.failed"];

/** One answer: of the history, or being written. */
export class Answer {
  /** @param {{responseId?: string|null, items?: any[], status?: string}} [given] */
  constructor({ responseId = null, items = [], status = "waiting" } = {}) {
    this.responseId = responseId;
    this.items = items;
    this.status = status;
    /** The response, as the last event told it. */
    this.response = null;
    /** What went wrong before there was a response. */
    this.error = null;
    /** What a person thinks of it: undefined until it was asked for. */
    this.feedback = undefined;
    this.followUps = [];
  }

  /** An answer of the history. */
  static ofItems(responseId, items) {
    const isCut = items.some((item) => item.status === "incomplete");
    return new Answer({ responseId, items, status: isCut ? "incomplete" : "completed" });
  }

  get isLive() {
    return this.status === "waiting" || this.status === "queued" || this.status === "in_progress";
  }

  /** The words of the answer, as Markdown. */
  get text() {
    const parts = this.items.filter((item) => item?.type === "message").flatMap((item) => item.content);
    return parts.map((part) => part.text ?? part.refusal ?? "").join("\n\n");
  }

  /** Take in the next event; those that we do not know change nothing. */
  apply(event) {
    if (event.response) this.#take(event);
    else this.#grow(event);
  }

  #take({ type, response }) {
    this.response = response;
    this.responseId = response.id;
    this.status = response.status;
    if (ENDINGS.includes(type)) this.items = response.output;
  }

  #grow(event) {
    const kind = event.type.replace(/^response\./, "");
    if (kind === "output_item.added" || kind === "output_item.done") {
      this.items[event.output_index] = event.item;
      return;
    }
    const item = this.items[event.output_index];
    if (!item) return;
    if (kind.startsWith("file_search_call.")) item.status = kind.split(".")[1];
    else growItem(item, kind, event);
  }
}

function growItem(item, kind, event) {
  switch (kind) {
    case "content_part.added":
    case "content_part.done":
      (item.content ??= [])[event.content_index] = event.part;
      break;
    case "reasoning_summary_part.added":
    case "reasoning_summary_part.done":
      (item.summary ??= [])[event.summary_index] = event.part;
      break;
    case "output_text.delta":
    case "reasoning.delta":
    case "reasoning_text.delta":
      grow(item.content?.[event.content_index], "text", event.delta);
      break;
    case "refusal.delta":
      grow(item.content?.[event.content_index], "refusal", event.delta);
      break;
    case "reasoning_summary_text.delta":
      grow(item.summary?.[event.summary_index], "text", event.delta);
      break;
    case "function_call_arguments.delta":
      grow(item, "arguments", event.delta);
      break;
    case "custom_tool_call_input.delta":
      grow(item, "input", event.delta);
      break;
    case "output_text.annotation.added":
      annotate(item.content?.[event.content_index], event);
  }
}

function grow(owner, field, delta) {
  if (owner) owner[field] = (owner[field] ?? "") + delta;
}

function annotate(part, { annotation, annotation_index: place }) {
  if (part) (part.annotations ??= [])[place ?? part.annotations.length] = annotation;
}
