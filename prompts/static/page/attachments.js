/**
 * Files on their way to a message. Pictures go into the message; documents into a vector store of the conversation, which
 * answers search from then on.
 */

import { notify } from "./dialogs.js";
import { element, find, icon, iconButton } from "./elements.js";
import { explain } from "./explain.js";
import { indexFile, uploadFile } from "./uploads.js";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MAX_FILES = 20;
/** An upload that is broken off may have arrived all the same. So much is sent at once: it is deleted when it is there. */
const SENT_AT_ONCE = 1024 * 1024;

/** One file: `status` goes uploading → indexing → ready, or failed. */
class Attachment {
  constructor(file) {
    this.file = file;
    this.name = file.name || "picture.png";
    this.isPicture = PICTURES.includes(file.type);
    this.status = "uploading";
    this.stored = null;
    this.share = 0;
    this.isDiscarded = false;
    this.leaving = new AbortController();
  }
}

export class Attachments {
  /**
   * @param {import("./api.js").Api} api
   * @param {{onChange: () => void, getStore: () => Promise<string>, onIndexed: (store: string) => Promise<void>}} given
   *   `getStore` gives the id of the conversation's vector store, made at the first need; `onIndexed` hears that it is used
   */
  constructor(api, { onChange, getStore, onIndexed }) {
    this.api = api;
    this.onChange = onChange;
    this.getStore = getStore;
    this.onIndexed = onIndexed;
    this.list = find("attachments");
    this.all = [];
  }

  get isBusy() {
    return this.all.some(({ status }) => status === "uploading" || status === "indexing");
  }

  get hasFailed() {
    return this.all.some(({ status }) => status === "failed");
  }

  /** What is ready: `{images, documents}`, files as the API shows them. */
  get ready() {
    const ready = this.all.filter(({ status }) => status === "ready");
    return {
      images: ready.filter((each) => each.isPicture).map((each) => each.stored),
      documents: ready.filter((each) => !each.isPicture).map((each) => each.stored),
    };
  }

  add(files) {
    const room = MAX_FILES - this.all.length;
    if (files.length > room) notify(`A message takes ${MAX_FILES} files. The others were left out.`, { isError: true });
    for (const file of [...files].slice(0, room)) {
      const attachment = new Attachment(file);
      this.all.push(attachment);
      this.list.append(this.#draw(attachment));
      this.#bring(attachment);
    }
    this.#changed();
  }

  /** Forget them: they were sent, or another conversation is open. */
  clear({ isSent = false } = {}) {
    if (!isSent) this.all.forEach((attachment) => this.#discard(attachment));
    this.all = [];
    this.list.replaceChildren();
    this.#changed();
  }

  async #bring(attachment) {
    const { file, leaving, isPicture } = attachment;
    const signal = leaving.signal;
    try {
      if (file.size === 0) throw new Error("This file is empty.");
      this.#show(attachment, "uploading", 0);
      const onProgress = (share) => this.#show(attachment, "uploading", share);
      attachment.stored = await uploadFile(this.api, file, { purpose: isPicture ? "vision" : "assistants", onProgress, signal });
      if (attachment.isDiscarded) return this.#erase(attachment);
      if (!isPicture) {
        this.#show(attachment, "indexing");
        const store = await this.getStore();
        await indexFile(this.api, { vectorStoreId: store, fileId: attachment.stored.id, signal });
        await this.onIndexed(store);
      }
      this.#show(attachment, "ready");
    } catch (error) {
      if (!signal.aborted && !attachment.isDiscarded) this.#show(attachment, "failed", 0, nameProblem(error));
    }
    this.#changed();
  }

  #draw(attachment) {
    const { name } = attachment;
    attachment.bar = element("progress", { max: "1", "aria-label": name });
    attachment.note = element("span", { class: "attachment-note", role: "status" });
    const remove = iconButton("close", `Remove ${name}`, () => this.#remove(attachment));
    const picture = attachment.isPicture ? element("img", { alt: "" }) : icon("file");
    if (attachment.isPicture) readPicture(attachment.file).then((address) => (picture.src = address));
    attachment.element = element("li", {}, picture, element("span", { class: "attachment-name" }, name), attachment.note, attachment.bar, remove);
    return attachment.element;
  }

  #show(attachment, status, share, problem = "") {
    attachment.status = status;
    attachment.share = share ?? 0;
    const { bar, note, element: drawn } = attachment;
    drawn.dataset.status = status;
    bar.hidden = status === "ready" || status === "failed";
    if (status === "uploading") bar.value = share;
    else bar.removeAttribute("value");
    const told = { uploading: "Uploading", indexing: "Reading", ready: "", failed: problem }[status];
    if (note.textContent !== told) note.textContent = told; // it is read aloud once
  }

  #remove(attachment) {
    this.#discard(attachment);
    this.all = this.all.filter((each) => each !== attachment);
    attachment.element.remove();
    this.#changed();
    find("message").focus();
  }

  /** Nobody will send it. Deleted, it leaves the vector store too. */
  #discard(attachment) {
    const { status, share, file } = attachment;
    attachment.isDiscarded = true;
    if (status === "uploading" && (share === 1 || file.size <= SENT_AT_ONCE)) return;
    attachment.leaving.abort();
    if (attachment.stored) this.#erase(attachment);
  }

  #erase({ stored }) {
    this.api.del(`/files/${stored.id}`).catch(() => {});
  }

  #changed() {
    this.list.hidden = this.all.length === 0;
    this.onChange();
  }
}

function nameProblem(error) {
  if (error.code === "request_too_large") return "This file is too large.";
  if (error.code === "quota_exceeded") return "There is no room for more files. Delete some first.";
  return explain(error);
}

/** A picture as a `data:` address: the page's policy allows no others. */
export function readPicture(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
