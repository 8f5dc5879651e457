/**
 * What can be done with a conversation: rename, export, its files, delete.
 */

import { askText, confirm, notify, openMenu } from "./dialogs.js";
import { UNTITLED } from "./conversations.js";
import { element } from "./elements.js";
import { explain } from "./explain.js";
import { listBelow } from "./families.js";
import { FILES } from "./talk.js";

const MAX_TITLE = 200;

export class Options {
  /** @param {{api: import("./api.js").Api, page: any}} given */
  constructor({ api, page }) {
    this.api = api;
    this.page = page;
  }

  /** The menu of the conversation that is open. */
  openCurrent(button) {
    const { conversation, family } = this.page.talk;
    if (conversation) this.open({ root: family.root.id, latest: conversation.id, title: family.root["eps:title"] }, button);
  }

  /** @param {{root: string, latest: string, title: string|null}} family */
  open(family, button) {
    const attempt = (act) => () => act().catch((error) => notify(explain(error), { isError: true }));
    openMenu(button, [
      { label: "Rename", icon: "edit", act: attempt(() => this.#rename(family)) },
      { label: "Export as Markdown", icon: "save", act: attempt(() => this.#export(family, "markdown")) },
      { label: "Export as JSON", icon: "save", act: attempt(() => this.#export(family, "json")) },
      { label: "Files", icon: "file", act: attempt(() => this.#files(family)) },
      { label: "Delete", icon: "delete", isDangerous: true, act: attempt(() => this.#delete(family)) },
    ]);
  }

  async #rename({ root, title }) {
    const wanted = await askText({ title: "Rename conversation", label: "Title", value: title ?? "", action: "Save", max: MAX_TITLE });
    if (!wanted || wanted === title) return;
    const { metadata } = await this.api.get(`/conversations/${encodeURIComponent(root)}`);
    const renamed = await this.api.post(`/conversations/${encodeURIComponent(root)}`, { body: { metadata, "eps:title": wanted } });
    this.page.conversations.rename(root, wanted);
    this.page.tell("list", root);
    const { family } = this.page.talk;
    if (family?.root.id !== root) return;
    family.chain[family.chain.length - 1] = renamed;
    this.page.showTitle(wanted);
  }

  async #export({ latest, title }, format) {
    const answer = await this.api.open("GET", `/conversations/${latest}/export`, { query: { format } });
    const address = URL.createObjectURL(await answer.blob());
    const name = (title || "conversation").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60);
    element("a", { href: address, download: `${name || "conversation"}.${format === "json" ? "json" : "md"}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }

  async #files({ latest }) {
    const { metadata } = await this.api.get(`/conversations/${latest}`);
    await this.page.panel.openFiles(metadata[FILES]);
  }

  async #delete({ root, title }) {
    const text = `“${title || UNTITLED}” is erased for good, with all versions of its messages and the files attached to it.`;
    if (!(await confirm({ title: "Delete conversation?", text, action: "Delete" }))) return;
    const first = await this.api.get(`/conversations/${encodeURIComponent(root)}`).catch(orGone(null));
    const all = [...(first ? [first] : []), ...(await listBelow(this.api, root))];
    const stores = new Set(all.map(({ metadata }) => metadata[FILES]).filter(Boolean));
    const pictures = new Set((await Promise.all(all.map(({ id }) => this.#listPictures(id)))).flat());
    await this.#erase(`/conversations/${encodeURIComponent(root)}`);
    if (this.page.talk.family?.root.id === root) this.page.navigate(null);
    this.page.conversations.remove(root);
    this.page.tell("gone", root);
    await Promise.all([...[...stores].map((store) => this.#eraseStore(store)), ...[...pictures].map((id) => this.#erase(`/files/${encodeURIComponent(id)}`))]);
    notify("The conversation is deleted.");
  }

  /** The pictures that were sent in a conversation. */
  async #listPictures(id) {
    const { items } = await this.api.get(`/conversations/${id}/export`, { query: { format: "json" } });
    const parts = items.flatMap(({ content }) => (Array.isArray(content) ? content : []));
    return parts.filter(({ type, file_id: file }) => type === "input_image" && file).map(({ file_id: file }) => file);
  }

  /** A vector store and its files. */
  async #eraseStore(id) {
    const store = `/vector_stores/${encodeURIComponent(id)}`;
    const files = await this.api.listAll(`${store}/files`).catch(orGone([]));
    await Promise.all(files.map((file) => this.#erase(`/files/${file.id}`)));
    await this.#erase(store);
  }

  #erase(path) {
    return this.api.del(path).catch(orGone(null));
  }
}

/** What takes the place of a thing that was deleted before, has expired, or never was (400: its id is none). */
const orGone = (value) => (error) => {
  if (error.status === 404 || error.status === 400) return value;
  throw error;
};
