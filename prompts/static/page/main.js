/**
 * The page: its parts, put together. Only this module knows them all.
 */

import { AnswerView } from "./answer_view.js";
import { Api, fetchClientSecret } from "./api.js";
import { readPicture } from "./attachments.js";
import { copyText } from "./clipboard.js";
import { Composer } from "./composer.js";
import { Conversations, UNTITLED } from "./conversations.js";
import { notify } from "./dialogs.js";
import { forgetAll, keepDraft, keepFor } from "./drafts.js";
import { element, find } from "./elements.js";
import { showEmptyPage } from "./empty.js";
import { readContent, toContent } from "./entries.js";
import { explain } from "./explain.js";
import { Options } from "./options.js";
import { Panel } from "./panel.js";
import { Rewriting } from "./rewriting.js";
import { editElement, gapElement, saidElement } from "./said_view.js";
import { listenForShortcuts, showShortcuts } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { Talk } from "./talk.js";
import { Thread } from "./thread.js";
import { TurnOptions } from "./turn_options.js";
import { Watch } from "./watch.js";

const PRODUCT = "Enhanced Prompt Service";
const NOT_COPIED = "The browser does not allow copying here. Select the text and copy it.";

class Page {
  constructor() {
    const { apiUrl, secretUrl, person } = document.body.dataset;
    keepFor(person);
    this.api = new Api({ baseUrl: apiUrl, getSecret: () => fetchClientSecret(secretUrl) });
    this.panel = new Panel(this.api);
    this.thread = new Thread({
      scroller: find("scroller"),
      list: find("thread"),
      jump: find("jump"),
      render: (entry) => this.#render(entry),
      loadOlder: () => this.talk.loadOlder().catch((error) => this.#tell(error)),
    });
    this.talk = new Talk({ api: this.api, thread: this.thread, on: this.#listener() });
    this.composer = new Composer(this.api, {
      onSend: (text) => this.#send(text),
      onStop: () => this.talk.stop(),
      onLast: () => this.rewriting.editLast(),
      getStore: () => this.turnOptions.getStore(),
      onIndexed: (store) => this.turnOptions.useStore(store),
    });
    const onError = (error) => this.#tell(error);
    this.turnOptions = new TurnOptions({ api: this.api, talk: this.talk, onError });
    this.rewriting = new Rewriting({
      talk: this.talk,
      thread: this.thread,
      focusComposer: () => this.composer.focus(),
      goTo: (open) => this.#goTo(open),
      onError,
    });
    this.options = new Options({ api: this.api, page: this });
    this.conversations = new Conversations(this.api, { onOptions: (family, button) => this.options.open(family, button) });
    this.sidebar = new Sidebar({ onSignOut: forgetAll, onShortcuts: showShortcuts });
    this.watch = new Watch({ look: () => this.talk.look(), refresh: () => this.conversations.refresh(), onError: (error) => this.#unreachable(error) });
    this.answers = this.#answerContext();
  }

  start() {
    this.#listen();
    this.conversations.read();
    this.composer.readModels().catch(() => {}); // the service's own choice stays
    this.route();
    this.watch.start();
  }

  /** Show what the address says. */
  async route() {
    const id = new URLSearchParams(location.search).get("c");
    this.composer.attachments.clear(); // they went to the vector store of what was open
    if (!id) return this.talk.begin();
    await this.#goTo(() => this.talk.open(id));
    this.composer.focus();
  }

  /** Open a conversation, or the empty page, under its address. */
  navigate(id) {
    const address = id ? `/?c=${id}` : "/";
    if (location.pathname + location.search !== address) history.pushState(null, "", address);
    this.sidebar.closeDrawer();
    return this.route();
  }

  /** What every part shows of the conversation that is open. */
  showTitle(title) {
    find("title").textContent = title || "New conversation";
    document.title = title ? `${title} · ${PRODUCT}` : PRODUCT;
  }

  tell(change, id) {
    this.watch.tell({ change, id });
  }

  async #goTo(open) {
    document.body.classList.add("opening");
    try {
      return await open();
    } catch (error) {
      if (error?.name !== "AbortError") this.#cannotOpen(error);
      return undefined;
    } finally {
      document.body.classList.remove("opening");
    }
  }

  #cannotOpen(error) {
    this.talk.begin();
    this.showTitle("");
    const isGone = error.status === 404 || error.status === 400; // 400: what stands in the address is no id
    const act = () => (isGone ? this.navigate(null) : this.route());
    const button = element("button", { type: "button", class: "primary", onclick: act }, isGone ? "New conversation" : "Try again");
    const text = isGone ? "This conversation does not exist, or not any more." : explain(error);
    find("thread").replaceChildren(element("div", { class: "empty", role: "alert" }, element("p", { class: "lead" }, text), button));
  }

  #listener() {
    return {
      opened: (conversation) => this.#opened(conversation),
      created: (conversation) => this.#created(conversation),
      forked: (conversation) => this.#forked(conversation),
      changed: (conversation) => this.#changed(conversation),
      answering: (isAnswering) => this.composer.setAnswering(isAnswering),
      begun: (conversation) => this.#begun(conversation),
      found: (texts) => this.#found(texts),
      ended: (conversation, entry) => this.#ended(conversation, entry),
      locked: (text) => this.#locked(text),
      refused: (error, entry) => this.#refused(error, entry),
      state: (state) => this.#showState(state),
      options: () => ({ model: this.composer.model, ...this.turnOptions.compose() }),
    };
  }

  #opened(conversation) {
    const root = conversation && this.talk.family.root;
    this.showTitle(root ? root["eps:title"] || UNTITLED : "");
    this.turnOptions.show({ isOther: (root?.id ?? null) !== this.composer.conversationId });
    this.composer.setConversation(root?.id ?? null);
    this.composer.setAnswering(false);
    this.conversations.setCurrent(root?.id ?? null);
    find("options").hidden = !conversation;
    this.panel.close({ refocus: false });
    if (!conversation) {
      showEmptyPage(find("thread"), (text) => ((this.composer.text = text), this.composer.field.focus()));
      this.composer.focus();
    }
    if (conversation && this.talk.family.isEmptyFork) this.thread.append({ kind: "gap", versions: this.talk.family.versionsOfEmpty() });
    else if (conversation && this.thread.entries.length === 0) this.#showNothingSaid();
  }

  #showNothingSaid() {
    find("thread").replaceChildren(element("p", { class: "hint nothing" }, "Nothing has been said here yet."));
  }

  #created(conversation) {
    history.pushState(null, "", `/?c=${conversation.id}`);
    this.composer.adopt(conversation.id);
    find("options").hidden = false;
    this.#changed(conversation);
    this.conversations.setCurrent(conversation.id);
  }

  #forked(conversation) {
    history.pushState(null, "", `/?c=${conversation.id}`);
    this.#changed(conversation);
  }

  #changed(conversation) {
    if (this.talk.family.root.id === conversation.id) this.showTitle(conversation["eps:title"] || UNTITLED);
    this.conversations.touch(conversation);
    this.tell("list", conversation.id);
  }

  #begun(conversation) {
    this.composer.forgetDraft(this.talk.family.root.id);
    this.tell("turn", conversation.id);
  }

  /** An answer to something that was typed here, before a reload: then it is no draft any more. */
  #found(texts) {
    if (texts.includes(this.composer.text)) this.composer.text = "";
  }

  /** An answer has its end: what one has unfolded or selected in it stays as it is. */
  #settle(entry) {
    entry.versions = this.talk.versionsOf(entry.said);
    entry.view?.draw();
    entry.view?.drawFoot();
  }

  #ended(conversation, entry) {
    if (this.turnOptions.lacksStore(entry.answer)) return this.#refused({ code: "vector_store_not_found" }, entry);
    this.#settle(entry);
    if (entry.said?.isUnsent) this.#keepUnsent(entry);
    this.conversations.touch(conversation);
    this.tell("turn", conversation.id);
    if (entry.answer.status === "completed") this.#suggest(entry);
  }

  async #suggest(entry) {
    const { answer } = entry;
    try {
      const { data } = await this.api.post(`/responses/${answer.responseId}/follow_ups`);
      if (this.thread.entries.at(-1) !== entry) return;
      answer.followUps = data;
      entry.view?.drawFollowUps();
    } catch {
      // Suggestions are nice to have.
    }
  }

  #locked(text) {
    if (!this.composer.text) this.composer.text = text;
    notify("This conversation is being answered elsewhere. Your message is back in the field: send it when the answer is there.");
  }

  /** What failed is in no conversation: after a reload it is in the field again. */
  #keepUnsent({ said }) {
    if (said && !this.composer.text) keepDraft(this.composer.conversationId, readContent(said.item.content).text);
  }

  #refused(error, entry) {
    if (entry) {
      entry.answer.error = error;
      this.#settle(entry);
      this.#keepUnsent(entry);
    }
    if (error?.name === "SignedOut") this.#signedOut();
    else if (error?.code === "vector_store_not_found") this.turnOptions.dropStore();
    else if (!entry) notify(explain(error), { isError: true });
  }

  #tell(error) {
    if (error?.name === "AbortError") return;
    if (error?.name === "SignedOut") this.#signedOut();
    else notify(explain(error), { isError: true });
  }

  #signedOut() {
    const next = encodeURIComponent(location.pathname + location.search);
    this.watch.stop();
    find("connection").replaceChildren("You are signed out. What you have typed is kept. ", element("a", { href: `${document.body.dataset.signInUrl}?next=${next}` }, "Sign in"));
  }

  #unreachable(error) {
    if (error?.name === "SignedOut") this.#signedOut();
    else if (error?.status === 404 && this.talk.conversation) this.#cannotOpen(error);
  }

  #showState(state) {
    const isOffline = !navigator.onLine || state === "offline";
    const text = isOffline ? "You are offline. It goes on when you are back." : state === "interrupted" ? "The connection was lost. Trying again…" : "";
    const place = find("connection");
    if (place.textContent !== text) place.textContent = text;
  }

  #send(text) {
    const { images, documents } = this.composer.attachments.ready;
    this.composer.clear();
    this.#ask(toContent(text, images, documents));
  }

  #ask(content) {
    this.#removeSuggestions();
    this.talk.ask({ content });
  }

  #removeSuggestions() {
    for (const entry of this.thread.entries.filter(({ answer }) => answer?.followUps.length)) {
      entry.answer.followUps = [];
      entry.view?.drawFollowUps();
    }
  }

  #render(entry) {
    if (entry.kind === "gap") return gapElement(entry.versions, this.answers.onVersion);
    if (entry.kind === "note") return element("p", { class: "note" }, entry.text);
    if (entry.kind === "answer") {
      entry.versions = this.talk.versionsOf(entry.said);
      entry.view = new AnswerView(entry, this.answers);
      return entry.view.element;
    }
    if (entry.isEdited) return editElement(entry, { onSend: (text) => this.rewriting.sendEdited(entry, text), onCancel: () => this.rewriting.edit(entry, false) });
    entry.versions = this.talk.versionsOf(entry);
    return saidElement(entry, this.answers);
  }

  #answerContext() {
    return {
      feedback: {
        read: (id) => this.api.get(`/responses/${id}/feedback`).catch(() => null),
        write: (id, body) => this.api.put(`/responses/${id}/feedback`, { body }).catch((error) => (this.#tell(error), Promise.reject(error))),
      },
      picture: (part) => this.#picture(part),
      canAskAgain: (entry) => Boolean(entry.said?.item.id),
      onAgain: (entry) => this.rewriting.askAgain(entry),
      onCitation: (answer, wanted, numbers) => this.panel.openSources(answer, wanted, numbers),
      onDetails: (answer) => this.panel.openDetails(answer),
      onEdit: (entry) => this.rewriting.edit(entry, true),
      onFollowUp: (question) => this.#askSuggested(question),
      onRetry: (entry) => this.#retry(entry),
      onVersion: (id, place, button) => this.#openVersion(id, place, button),
    };
  }

  /** What is being typed or attached meanwhile stays where it is. */
  #askSuggested(question) {
    if (this.talk.isAnswering) return;
    this.composer.focus();
    this.#ask(toContent(question, [], []));
  }

  #retry(entry) {
    if (this.rewriting.isBusy()) return;
    this.composer.focus();
    this.talk.retry(entry);
  }

  #openVersion(id, place, button) {
    this.composer.attachments.clear(); // another version may have another vector store
    return this.rewriting.openVersion(id, place, button);
  }

  async #picture(part) {
    if (!part.file_id) return part.image_url?.startsWith("data:image/") ? part.image_url : Promise.reject(new Error("no picture"));
    const answer = await this.api.open("GET", `/files/${part.file_id}/content`);
    return readPicture(new Blob([await answer.arrayBuffer()], { type: answer.headers.get("content-type") ?? "" }));
  }

  #listen() {
    addEventListener("popstate", () => this.route());
    addEventListener("online", () => this.#showState(this.talk.isAnswering ? "connecting" : "ended"));
    addEventListener("offline", () => this.#showState("offline"));
    find("options").addEventListener("click", (event) => this.options.openCurrent(event.currentTarget));
    document.addEventListener("click", (event) => this.#followLink(event));
    document.addEventListener("keydown", (event) => event.key === "Escape" && !isInside(event.target, "dialog, .menu") && this.panel.close());
    this.composer.field.addEventListener("keydown", (event) => this.#scroll(event));
    listenForShortcuts({
      newConversation: () => this.navigate(null),
      search: () => (this.sidebar.show(), this.conversations.search.focus()),
      toggleSidebar: () => this.sidebar.toggle(),
      copyLast: () => this.#copyLast(),
    });
  }

  /** Links to conversations stay in this page, unless somebody wants another tab. */
  #followLink(event) {
    const link = event.target.closest?.("a[href]");
    if (link?.classList.contains("skip")) return (event.preventDefault(), this.composer.field.focus()); // no new address
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
    const address = new URL(link.href);
    if (address.origin !== location.origin || address.pathname !== "/" || address.hash) return;
    event.preventDefault();
    this.navigate(address.searchParams.get("c"));
  }

  /** The keys that turn pages turn those of the conversation, also while one writes. */
  #scroll(event) {
    const by = { PageUp: -0.85, PageDown: 0.85 }[event.key];
    if (!by || event.shiftKey) return;
    event.preventDefault();
    this.thread.scroller.scrollBy({ top: by * this.thread.scroller.clientHeight });
  }

  #copyLast() {
    const last = this.thread.entries.findLast((entry) => entry.kind === "answer");
    if (last) copyText(last.answer.text).then((isCopied) => notify(isCopied ? "The last answer is copied." : NOT_COPIED));
  }
}

const isInside = (node, selector) => Boolean(node.closest?.(selector));

export const page = new Page();
page.start();
