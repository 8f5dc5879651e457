/**
 * Where one writes: the text and its draft, files by button, paste and drop, the model, send and stop.
 */

import { Attachments } from "./attachments.js";
import { keep, keepDraft, readDraft, recall } from "./drafts.js";
import { element, find, isCommand } from "./elements.js";

/** Names of models that do not talk. */
const NOT_FOR_TALK = /embed|whisper|tts|dall-e|moderation|transcribe|realtime|rerank|image/i;

export class Composer {
  /**
   * @param {import("./api.js").Api} api
   * @param {{onSend: (text: string) => void, onStop: () => void, onLast: () => void, getStore: () => Promise<string>,
   *   onIndexed: (store: string) => Promise<void>}} given
   */
  constructor(api, { onSend, onStop, onLast, getStore, onIndexed }) {
    this.api = api;
    this.onSend = onSend;
    this.onStop = onStop;
    this.onLast = onLast;
    /** Null for a new one; undefined until it is known. */
    this.conversationId = undefined;
    this.isAnswering = false;
    this.field = find("message");
    this.sendButton = find("send");
    this.stopButton = find("stop");
    this.modelField = find("model");
    this.attachments = new Attachments(api, { onChange: () => this.#show(), getStore, onIndexed });
    this.#listen();
  }

  /** The model that was chosen; undefined for the service's own choice. */
  get model() {
    return this.modelField.value || undefined;
  }

  get text() {
    return this.field.value.trim();
  }

  set text(text) {
    this.field.value = text;
    this.#changed();
  }

  focus() {
    // On a phone the keyboard would cover what was just opened.
    if (matchMedia("(hover: hover)").matches) this.field.focus({ preventScroll: true });
  }

  /** Write for a conversation or a version of it: all have the draft of their root. */
  setConversation(id) {
    const isOther = id !== this.conversationId;
    const early = this.conversationId === undefined ? this.field.value : ""; // typed before the page was ready
    if (isOther) this.attachments.clear();
    this.conversationId = id;
    if (early) keepDraft(id, early);
    else if (isOther || !this.text) this.field.value = readDraft(id); // what is being typed keeps its place of writing
    this.#show();
  }

  /** What was typed belongs to this conversation, which was just made for it. */
  adopt(id) {
    keepDraft(id, readDraft(this.conversationId));
    keepDraft(this.conversationId, "");
    this.conversationId = id;
  }

  /** It is on its way. The draft stays in the browser until the service has it: see `forgetDraft`. */
  clear() {
    this.field.value = "";
    this.attachments.clear({ isSent: true });
    this.#show();
  }

  forgetDraft(id) {
    keepDraft(id, id === this.conversationId ? this.field.value : "");
  }

  setAnswering(isAnswering) {
    const hadFocus = [this.sendButton, this.stopButton].includes(document.activeElement);
    this.isAnswering = isAnswering;
    this.#show();
    if (hadFocus) (isAnswering ? this.stopButton : this.field).focus();
  }

  async readModels() {
    const { data } = await this.api.get("/models");
    const talks = data.filter(({ id }) => !NOT_FOR_TALK.test(id));
    const ids = (talks.length ? talks : data).map(({ id }) => id).sort();
    const own = this.modelField.options[0];
    const options = ids.filter((id) => id !== own.textContent).map((id) => element("option", { value: id }, id));
    const chosen = recall("model") ?? "";
    this.modelField.replaceChildren(own, ...options);
    this.modelField.value = ids.includes(chosen) ? chosen : "";
  }

  addFiles(files) {
    this.attachments.add(files);
    this.field.focus();
  }

  #listen() {
    const form = find("composer");
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#send()));
    form.addEventListener("click", (event) => event.target === form && this.field.focus());
    this.stopButton.addEventListener("click", () => this.onStop());
    this.field.addEventListener("input", () => this.#changed());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.field.addEventListener("paste", (event) => this.#paste(event));
    this.modelField.addEventListener("change", () => keep("model", this.modelField.value));
    find("attach").addEventListener("click", () => find("files").click());
    find("files").addEventListener("change", (event) => {
      this.addFiles(event.target.files);
      event.target.value = "";
    });
    this.#listenToDrops();
  }

  #listenToDrops() {
    const [talk, drop] = [find("talk"), find("drop")];
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    talk.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.hidden = false;
    });
    talk.addEventListener("dragleave", (event) => (drop.hidden = !talk.contains(event.relatedTarget)));
    talk.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop.hidden = true;
      this.addFiles(event.dataTransfer.files);
    });
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    this.addFiles(files);
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && (isCommand(event) || !event.altKey)) {
      event.preventDefault();
      this.#send();
    }
    if (event.key === "ArrowUp" && !this.field.value && !isCommand(event) && !event.altKey) this.onLast();
    if (event.key === "Escape" && this.isAnswering) this.onStop();
  }

  #changed() {
    if (this.conversationId !== undefined) keepDraft(this.conversationId, this.field.value);
    this.#show();
  }

  #send() {
    if (this.#canSend()) this.onSend(this.text);
  }

  #canSend() {
    const { ready, isBusy, hasFailed } = this.attachments;
    const hasSomething = this.text || ready.images.length || ready.documents.length;
    return hasSomething && !isBusy && !hasFailed && !this.isAnswering;
  }

  #show() {
    this.sendButton.hidden = this.isAnswering;
    this.stopButton.hidden = !this.isAnswering;
    this.sendButton.disabled = !this.#canSend();
    fit(this.field);
  }
}

/** The field is as high as its text, up to what the style sheet allows. */
function fit(field) {
  if (CSS.supports("field-sizing", "content")) return;
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}
