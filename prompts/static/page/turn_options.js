/**
 * What a turn is asked with beside its words: a template, the conversation's documents, whether thoughts are told.
 */

import { notify } from "./dialogs.js";
import { find } from "./elements.js";
import { showsThoughts } from "./sidebar.js";
import { FILES, TEMPLATE } from "./talk.js";
import { chooseTemplate, readTemplate, showTemplateInUse } from "./templates.js";

/** Of a value in a conversation's metadata. */
const MAX_METADATA = 512;
const TOO_LONG_TO_KEEP = "What you have filled in is too long to be kept. The template holds until you leave this conversation.";

export class TurnOptions {
  /** @param {{api: import("./api.js").Api, talk: import("./talk.js").Talk, onError: (error: any) => void}} given */
  constructor({ api, talk, onError }) {
    this.api = api;
    this.talk = talk;
    this.onError = onError;
    /** A template that is too long for the metadata: it holds until another conversation is opened, or the page. */
    this.longTemplate = null;
    /** A new vector store, until a document is in it. */
    this.store = null;
    find("templates").addEventListener("click", () => this.#choose());
  }

  /** The fields of a turn's body. */
  compose() {
    const { template } = this;
    return {
      ...(showsThoughts() ? { reasoning: { summary: "auto" } } : {}),
      ...(template ? { prompt: { id: template.id, variables: template.variables } } : {}),
    };
  }

  get template() {
    return this.longTemplate ?? readTemplate(this.talk.kept[TEMPLATE]);
  }

  /** A conversation was opened; `isOther` than the one before. */
  show({ isOther }) {
    if (isOther) this.longTemplate = null;
    this.store = null;
    this.#showTemplate();
  }

  /** The vector store for documents; a new one belongs to the conversation when the first document is in it. */
  async getStore() {
    if (this.talk.kept[FILES]) return this.talk.kept[FILES];
    const body = { name: "Files of a conversation", expires_after: { anchor: "last_active_at", days: 365 } };
    this.store ??= this.api.post("/vector_stores", { body }).then(({ id }) => id);
    this.store.catch(() => (this.store = null));
    return this.store;
  }

  async useStore(store) {
    if (this.talk.kept[FILES] !== store) await this.talk.keep(FILES, store);
  }

  /** Whether an answer failed because the vector store was deleted: only its message names it. */
  lacksStore({ status, response }) {
    const store = this.talk.kept[FILES];
    return Boolean(store) && status === "failed" && (response?.error?.message ?? "").includes(store);
  }

  /** The vector store is gone: answers are made without it. */
  dropStore() {
    this.talk.keep(FILES, null).catch(this.onError);
  }

  #showTemplate() {
    showTemplateInUse(this.template, { onChange: () => this.#choose(), onRemove: () => this.#use(null) });
  }

  async #choose() {
    const chosen = await chooseTemplate(this.api, this.template);
    if (chosen) await this.#use(chosen);
  }

  async #use(template) {
    const text = template && JSON.stringify(template);
    this.longTemplate = text?.length > MAX_METADATA ? template : null;
    try {
      await this.talk.keep(TEMPLATE, this.longTemplate ? null : text);
    } catch (error) {
      this.onError(error);
    }
    if (this.longTemplate) notify(TOO_LONG_TO_KEEP);
    this.#showTemplate();
    find("message").focus();
  }
}
