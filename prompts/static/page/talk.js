/**
 * The conversation that is open: reading it, asking in it, following what is answered, here or elsewhere.
 */

import { Answer } from "./answers.js";
import { announce } from "./elements.js";
import { link, readContent, responseOf, titleOf, toEntries } from "./entries.js";
import { followTurn } from "./following.js";
import { Family, Trail } from "./families.js";

const PAGE = 100;
/** Pages that are read to find the place of a version. */
const MAX_PAGES_TO_FIND = 30;
/** What this page keeps with a conversation. */
export const FILES = "eps_page_files";
export const TEMPLATE = "eps_page_template";

export class Talk {
  /**
   * @param {{api: import("./api.js").Api, thread: import("./thread.js").Thread, on: Record<string, Function>}} given
   *   `on` hears: opened, created, forked, changed (a conversation); answering, begun, found, ended (an answer); locked,
   *   refused, state (of the connection). `on.options()` gives the fields of a turn
   */
  constructor({ api, thread, on }) {
    this.api = api;
    this.thread = thread;
    this.on = on;
    this.visit = new AbortController();
    this.trail = new Trail();
    this.#forget();
  }

  #forget() {
    this.conversation = null;
    this.family = null;
    this.live = null;
    this.carry = [];
    /** What a conversation that is not made yet will have in its metadata. */
    this.metadata = {};
  }

  /** The conversation's metadata, also before there is one. */
  get kept() {
    return this.conversation?.metadata ?? this.metadata;
  }

  get isAnswering() {
    return this.live !== null;
  }

  /** An empty page: the first message makes the conversation. */
  begin() {
    this.#leave();
    this.#forget();
    this.thread.clear();
    this.on.state("ended");
    this.on.opened(null);
  }

  /** Open a conversation, and follow what is being answered in it. What was shown stays until the new one is read. */
  async open(id) {
    const signal = this.#leave();
    const conversation = await this.api.get(`/conversations/${encodeURIComponent(id)}`, { signal });
    const [family, page] = await Promise.all([Family.read(this.api, conversation, signal), this.#readPage(id, signal)]);
    signal.throwIfAborted();
    this.#forget();
    this.conversation = conversation;
    this.family = family;
    this.trail.leave(family.chain);
    this.thread.show(this.#takePage(page), { hasOlder: page.has_more });
    this.on.state("ended");
    this.on.opened(conversation);
    this.#followIfActive(conversation, page.data);
  }

  /** Read the page before the first message that is shown. */
  async loadOlder() {
    const { signal } = this.visit;
    const page = await this.#readPage(this.conversation.id, signal, this.family.order.at(-1));
    if (signal.aborted) return;
    const edge = this.thread.entries.slice(0, 2);
    this.thread.prepend(this.#takePage(page), { hasOlder: page.has_more });
    for (const entry of edge) this.thread.refresh(entry); // what stands before it decides its versions
  }

  /**
   * Ask. `content` are the parts of the message; `reference` the id of a stored message that says the same.
   * @param {{content: any[], reference?: string}} message
   */
  async ask({ content, reference }) {
    const { signal } = this.visit;
    const entries = this.#showAsked(content, reference);
    this.live = entries.at(-1);
    this.on.answering(true); // it can be stopped from now on
    try {
      if (!this.conversation) await this.#create(titleOf(content));
      const input = reference ? [{ type: "item_reference", id: reference }] : [{ role: "user", content }];
      await this.#run(entries.at(-1), { body: { ...this.on.options(), conversation: this.conversation.id, input, ...this.#tools() } });
    } catch (error) {
      if (signal.aborted) return;
      this.live = null;
      this.on.answering(false);
      this.#refused(entries.at(-1), error);
    }
  }

  /** Ask again what failed. */
  retry(entry) {
    this.thread.remove(entry.said, entry);
    return this.ask({ content: entry.said.item.content, reference: entry.reference });
  }

  /** End the answer; what was written stays. */
  async stop() {
    const { live } = this;
    if (!live) return;
    live.wantsStop = true;
    if (live.answer.responseId) await this.api.post(`/responses/${live.answer.responseId}/cancel`).catch((error) => this.#stopFailed(error));
  }

  #stopFailed(error) {
    if (error.code !== "response_ended") this.on.refused(error);
  }

  /**
   * A fork in which a message is another one, or the same again; then ask there.
   * @param {any} said the entry @param {"edit"|"again"} kind @param {{content: any[], reference?: string}} message
   */
  async askInstead(said, kind, message) {
    if (this.family.needsOlder(said.item.id) && this.thread.hasOlder) await this.loadOlder();
    const place = this.family.placeOf(said.item.id);
    const fork = await this.api.post(`/conversations/${place.owner.id}/fork`, { body: this.family.composeFork(place, kind) });
    this.on.forked(fork);
    await this.open(fork.id);
    await this.ask(message);
  }

  /** Open another version of a place; gives the entry that stands there, once it is read. */
  async openVersion(id, place) {
    await this.open(this.trail.find(id, place));
    for (let pages = 0; pages < MAX_PAGES_TO_FIND; pages += 1) {
      const found = this.thread.entries.find((entry) => isAt(this.#versionsAt(entry), place));
      if (found || !this.thread.hasOlder) return found;
      await this.loadOlder();
    }
    return undefined;
  }

  #versionsAt(entry) {
    if (entry.kind === "gap") return entry.versions;
    return entry.kind === "said" ? this.versionsOf(entry) : undefined;
  }

  versionsOf(said) {
    return said?.item.id ? this.family?.versionsOf(said.item.id) : undefined;
  }

  /** Look whether something was said elsewhere: on another device, in another tab, by a program. */
  async look() {
    const { signal } = this.visit;
    if (!this.conversation || this.isAnswering) return false;
    const { id } = this.conversation;
    const [conversation, newest] = await Promise.all([
      this.api.get(`/conversations/${id}`, { signal }),
      this.api.get(`/conversations/${id}/items`, { query: { limit: 1 }, signal }),
    ]);
    if (signal.aborted || this.isAnswering) return false;
    const isRenamed = conversation["eps:title"] !== this.conversation["eps:title"];
    this.conversation = this.family.chain[0] = conversation;
    if (isRenamed) this.on.changed(conversation);
    const isNew = (newest.data[0]?.id ?? null) !== (this.family.order[0] ?? null);
    if (isNew) await this.#catchUp(signal);
    else this.#followIfActive(conversation, newest.data);
    return isNew || this.isAnswering;
  }

  /** Keep something in the conversation's metadata. */
  async keep(name, value) {
    if (!this.conversation) {
      this.metadata = change(this.metadata, name, value);
      return;
    }
    const { id } = this.conversation;
    const fresh = await this.api.get(`/conversations/${id}`);
    const changed = await this.api.post(`/conversations/${id}`, { body: { metadata: change(fresh.metadata, name, value) } });
    if (this.conversation?.id === id) this.conversation = this.family.chain[0] = changed;
  }

  #leave() {
    this.visit.abort();
    this.visit = new AbortController();
    this.live = null;
    return this.visit.signal;
  }

  #readPage(id, signal, after) {
    return this.api.get(`/conversations/${encodeURIComponent(id)}/items`, { query: { limit: PAGE, after }, signal });
  }

  /** The entries of a page. An answer whose beginning is on the page before waits for it. */
  #takePage(page) {
    this.family.claim(page.data, { isWhole: !page.has_more });
    const entries = toEntries([...page.data].reverse().concat(this.carry));
    this.carry = [];
    if (page.has_more && entries.length > 1 && entries[0].kind === "answer") this.carry = entries.shift().answer.items;
    return link(entries);
  }

  async #create(title) {
    const { signal } = this.visit;
    const made = await this.api.post("/conversations", { body: { metadata: this.metadata, "eps:title": title } });
    signal.throwIfAborted(); // somebody went elsewhere meanwhile: what was typed is still a draft
    this.conversation = made;
    this.family = new Family([this.conversation]);
    this.family.isWhole = true;
    this.on.created(this.conversation);
  }

  #tools() {
    const store = this.kept[FILES];
    return store?.startsWith("vs_") ? { tools: [{ type: "file_search", vector_store_ids: [store], "eps:when": "always" }] } : {};
  }

  #showAsked(content, reference) {
    const said = { kind: "said", item: { id: null, content } };
    const entry = { kind: "answer", answer: new Answer(), said, reference };
    this.thread.remove(...this.thread.entries.filter(({ kind }) => kind === "gap"));
    this.thread.append(said, entry);
    this.thread.toEnd();
    return [said, entry];
  }

  async #run(entry, turn) {
    const { signal } = this.visit;
    const { answer } = entry;
    const onState = (state) => signal.aborted || this.on.state(state);
    this.live = entry;
    this.on.answering(true);
    try {
      for await (const event of followTurn(this.api, turn, { signal, onState })) {
        const isFirst = !answer.responseId;
        answer.apply(event);
        if (isFirst && answer.responseId) this.#begun(entry);
        entry.view?.update();
      }
      await this.#ended(entry);
    } finally {
      if (!signal.aborted) {
        this.live = null;
        this.on.answering(false);
        this.on.state("ended");
      }
    }
  }

  #begun(entry) {
    this.on.begun(this.conversation, entry.answer);
    if (entry.wantsStop) this.stop();
  }

  async #ended(entry) {
    const { signal } = this.visit;
    const { said, answer } = entry;
    if (answer.status === "failed") {
      if (said) said.isUnsent = true;
    } else {
      if (said && !said.item.id) said.item = (await this.#readInput(answer.responseId, signal)).at(-1)?.item ?? said.item;
      if (said?.item.id) this.family.claimNew(said.item);
      for (const item of answer.items) this.family.claimNew(item);
    }
    if (signal.aborted) return;
    answer.feedback = null; // nobody has seen it before
    this.live = null;
    if (said) this.thread.refresh(said);
    announce({ completed: "The answer is complete.", failed: "The answer failed." }[answer.status] ?? "The answer was stopped.");
    this.on.ended(this.conversation, entry);
  }

  async #readInput(responseId, signal) {
    const { data } = await this.api.get(`/responses/${responseId}/input_items`, { query: { limit: PAGE, order: "asc" }, signal });
    return toEntries(data).filter((each) => each.kind === "said");
  }

  #refused(entry, error) {
    const { said, answer } = entry;
    if (error.code === "conversation_locked" && error.activeResponseId) {
      this.thread.remove(said, entry);
      this.on.locked(readContent(said.item.content).text);
      this.#follow(error.activeResponseId);
      return;
    }
    answer.status = "failed";
    answer.error = error;
    said.isUnsent = true;
    this.thread.refresh(said);
    this.on.refused(error, entry);
  }

  #followIfActive(conversation, items) {
    const active = conversation["eps:active_response_id"];
    if (active && !items.some((item) => responseOf(item.id) === active)) this.#follow(active);
  }

  /** An answer that is being written, begun here before a reload, or elsewhere. */
  async #follow(responseId) {
    const { signal } = this.visit;
    try {
      const saids = await this.#readInput(responseId, signal);
      const entry = { kind: "answer", answer: new Answer(), said: saids.at(-1) };
      if (signal.aborted || this.isAnswering) return;
      this.thread.append(...saids.filter((said) => !this.family.levels.has(said.item.id)), entry);
      this.on.found(saids.map((said) => readContent(said.item.content).text));
      await this.#run(entry, { responseId });
    } catch (error) {
      if (!signal.aborted && error.status !== 404) this.on.refused(error);
    }
  }

  async #catchUp(signal) {
    const page = await this.#readPage(this.conversation.id, signal);
    if (signal.aborted || this.isAnswering) return;
    if (page.data[0]?.id === this.family.order[0]) return this.#followIfActive(this.conversation, page.data); // taken meanwhile
    const known = page.data.findIndex((item) => this.family.levels.has(item.id));
    const isReadable = known > 0 || (known < 0 && !page.has_more && this.family.order.length === 0);
    if (!isReadable) return void (await this.open(this.conversation.id)); // something was deleted, or much was said
    const items = page.data.slice(0, known < 0 ? undefined : known).reverse();
    for (const item of items) this.family.claimNew(item);
    this.thread.append(...link(toEntries(items)));
    this.#followIfActive(this.conversation, page.data);
  }
}

const isAt = (versions, { owner, at }) => versions?.place.owner === owner && versions.place.at === at;

function change(metadata, name, value) {
  const { [name]: _old, ...rest } = metadata;
  return value === null ? rest : { ...rest, [name]: value };
}
