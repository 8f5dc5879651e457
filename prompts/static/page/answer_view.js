/**
 * An answer as it is shown, while it grows and afterwards: thoughts, searches and calls folded, words as Markdown.
 */

import { copyWith, element, icon, iconButton } from "./elements.js";
import { explain, explainEnding } from "./explain.js";
import { feedbackElement } from "./feedback.js";
import { MarkdownView } from "./markdown.js";
import { timeElement, timeOfId } from "./times.js";
import { versionsElement } from "./versions.js";

export class AnswerView {
  #parts = new Map();
  #frame = 0;
  #shownStatus = "";

  /**
   * @param {{answer: import("./answers.js").Answer, versions?: any}} entry
   * @param {any} context what its buttons do
   */
  constructor(entry, context) {
    this.entry = entry;
    this.answer = entry.answer;
    this.context = context;
    this.body = element("div", { class: "parts" });
    this.foot = element("div", { class: "answer-foot" });
    this.element = element("article", { class: "answer", "aria-label": "Answer", tabindex: "-1" }, this.body, this.foot);
    this.body.addEventListener("click", (event) => this.#cite(event));
    this.draw();
  }

  /** Draw what is new with the next frame: a hundred events a second are one change a frame. */
  update() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.draw();
    });
  }

  draw() {
    const { answer } = this;
    answer.items.forEach((item, index) => item && this.#drawItem(item, index));
    const isWaiting = answer.isLive && this.#parts.size === 0;
    this.body.classList.toggle("waiting", isWaiting);
    this.body.toggleAttribute("data-live", answer.isLive);
    this.element.setAttribute("aria-busy", String(answer.isLive));
    if (this.#shownStatus !== answer.status) this.drawFoot();
  }

  /** What stands below the words, anew. */
  drawFoot() {
    const { answer, entry, context } = this;
    this.#shownStatus = answer.status;
    this.foot.replaceChildren();
    if (answer.isLive) return;
    const ending = explainEnding(answer);
    if (ending) this.foot.append(element("p", { class: "ending" }, ending));
    for (const notice of answer.response?.["eps:notices"] ?? []) this.foot.append(element("p", { class: "ending" }, notice.message));
    if (answer.error || answer.status === "failed") this.foot.append(this.#alert());
    if (!answer.error && answer.responseId) this.foot.append(...this.#tools());
    else if (entry.versions && !entry.versions.isEdited) this.foot.append(versionsElement(entry.versions, context.onVersion));
    this.followUps = element("div");
    this.foot.append(this.followUps);
    this.drawFollowUps();
  }

  drawFollowUps() {
    const { answer, context } = this;
    if (!this.followUps) return;
    const buttons = answer.followUps.map((question) =>
      element("li", {}, element("button", { type: "button", onclick: () => context.onFollowUp(question) }, question)),
    );
    this.followUps.replaceChildren(...(buttons.length ? [element("ul", { class: "chips", "aria-label": "Suggested questions" }, ...buttons)] : []));
  }

  #drawItem(item, index) {
    let part = this.#parts.get(index);
    if (part?.type !== item.type) {
      part?.element.remove();
      part = makePart(item, this.context);
      this.#parts.set(index, part);
      const next = [...this.#parts].filter(([other]) => other > index).sort(([one], [other]) => one - other)[0];
      this.body.insertBefore(part.element, next?.[1].element ?? null);
    }
    part.update(item, { isLive: this.answer.isLive && item.status === "in_progress" });
  }

  #alert() {
    const error = this.answer.error ?? this.answer.response?.error;
    const again = this.entry.said && element("button", { type: "button", onclick: () => this.context.onRetry(this.entry) }, "Try again");
    return element("div", { class: "alert", role: "alert" }, icon("warning"), element("p", {}, explain(error)), again);
  }

  #tools() {
    const { answer, entry, context } = this;
    const place = element("div", { class: "comment-place" });
    const copy = iconButton("copy", "Copy answer", () => copyWith(copy, answer.text));
    const tools = element(
      "div",
      { class: "tools" },
      answer.text && copy,
      feedbackElement(answer, place, context.feedback),
      context.canAskAgain(entry) && iconButton("again", "Ask again", () => context.onAgain(entry)),
      iconButton("info", "Details", () => context.onDetails(answer)),
      entry.versions && !entry.versions.isEdited && versionsElement(entry.versions, context.onVersion),
    );
    const date = timeOfId(answer.responseId);
    if (date) tools.append(timeElement(date));
    return [tools, place];
  }

  #cite(event) {
    const button = event.target.closest("button.citation");
    if (!button) return;
    const all = [...this.body.querySelectorAll("button.citation")];
    const numbers = new Map(all.map(({ dataset }) => [Number(dataset.passage), Number(dataset.number)]));
    this.context.onCitation(this.answer, Number(button.dataset.passage), numbers);
  }
}

function makePart(item) {
  if (item.type === "message") return new Words();
  if (item.type === "reasoning") return new Thoughts();
  if (item.type === "compaction") return new Note("Earlier messages were summed up for the model.");
  return new Call(item);
}

class Words {
  type = "message";
  #views = [];

  constructor() {
    this.element = element("div", { class: "words-of-answer" });
  }

  update(item) {
    item.content?.forEach((part, index) => part && this.#updatePart(part, index, item.status !== "in_progress"));
  }

  #updatePart(part, index, isFinal) {
    const text = part.text ?? part.refusal ?? "";
    const annotations = part.annotations ?? [];
    const view = (this.#views[index] ??= this.#addView());
    if (view.text === text && view.isFinal === isFinal && view.cited === annotations.length) return;
    Object.assign(view, { text, isFinal, cited: annotations.length });
    view.markdown.update(text, { annotations, isFinal });
  }

  #addView() {
    const prose = element("div", { class: "prose" });
    this.element.append(prose);
    return { markdown: new MarkdownView(prose), text: null };
  }
}

class Thoughts {
  type = "reasoning";

  constructor() {
    this.name = element("span");
    this.words = element("div", { class: "folded-text" });
    this.element = element("details", { class: "fold" }, element("summary", {}, icon("thought"), this.name), this.words);
  }

  update(item, { isLive }) {
    const parts = item.content?.length ? item.content : (item.summary ?? []);
    const text = parts.map((part) => part?.text ?? "").join("\n\n");
    this.element.hidden = !text && !isLive;
    this.element.classList.toggle("live", isLive);
    this.name.textContent = isLive ? "Thinking…" : "Thoughts";
    if (this.words.textContent !== text) this.words.textContent = text;
  }
}

class Call {
  constructor(item) {
    this.type = item.type;
    this.name = element("span");
    this.words = element("div", { class: "folded-text" });
    const picture = icon(item.type === "file_search_call" ? "search" : "tool");
    this.element = element("details", { class: "fold" }, element("summary", {}, picture, this.name), this.words);
  }

  update(item, { isLive }) {
    const isSearching = item.type === "file_search_call" && ["in_progress", "searching"].includes(item.status);
    this.element.classList.toggle("live", isLive || isSearching);
    this.name.textContent = nameOf(item, isSearching);
    const text = textOf(item);
    if (this.words.textContent !== text) this.words.textContent = text;
  }
}

class Note {
  type = "compaction";

  constructor(text) {
    this.element = element("p", { class: "note" }, text);
  }

  update() {}
}

function nameOf(item, isSearching) {
  if (isSearching) return "Searching the files…";
  if (item.type === "file_search_call") return item.status === "failed" ? "The files could not be searched" : "Searched the files";
  if (item.type.endsWith("_output")) return "Result";
  return `Called ${item.name ?? item.type.replace(/_call$/, "").replaceAll("_", " ")}`;
}

function textOf(item) {
  if (item.type === "file_search_call") return (item.queries ?? []).join("\n");
  const said = item.arguments ?? item.input ?? item.output ?? item.action ?? "";
  return typeof said === "string" ? pretty(said) : JSON.stringify(said, null, 2);
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
