/**
 * The list of conversations: by day, last used first, read page by page; or what a search has found.
 *
 * A family of forks is one entry: it has the title of its root, and opens the member that was used last.
 */

import { announce, element, find, iconButton } from "./elements.js";
import { explain } from "./explain.js";
import { rootOf } from "./families.js";
import { dayGroup } from "./times.js";

const PAGE = 40;
const SEARCH_PAUSE_MS = 250;
export const UNTITLED = "Untitled conversation";

export class Conversations {
  /**
   * @param {import("./api.js").Api} api
   * @param {{onOptions: (entry: any, button: HTMLElement) => void}} given
   */
  constructor(api, { onOptions }) {
    this.api = api;
    this.onOptions = onOptions;
    this.place = find("conversations");
    this.search = find("search");
    /** By the id of the root: `{root, latest, title, members}`, last used first. */
    this.families = new Map();
    this.current = null;
    this.generation = 0;
    this.more = element("div", { class: "sentinel" });
    this.sight = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#readMore(), { root: this.place, rootMargin: "400px" });
    this.search.addEventListener("input", () => {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.read(), SEARCH_PAUSE_MS);
    });
    this.search.addEventListener("keydown", (event) => this.#searchKey(event));
    this.place.addEventListener("keydown", (event) => this.#listKey(event));
  }

  get query() {
    return this.search.value.trim();
  }

  /** Read the list from its beginning; what is shown stays until the new one is there. */
  async read() {
    const generation = ++this.generation;
    try {
      const page = await this.#page(undefined);
      if (generation !== this.generation) return;
      this.families = new Map();
      await this.#take(page);
      if (this.query) announce(`${this.families.size}${page.has_more ? " or more" : ""} found.`);
    } catch (error) {
      if (generation === this.generation && !this.families.size) this.#say(explain(error), true);
      return;
    }
    if (generation === this.generation) this.draw();
  }

  /** Read the first page again: what was used elsewhere comes first. What was read further down stays. A search stays too. */
  async refresh() {
    if (this.query) return; // what was found stays, and is not announced again
    if (!this.families.size) return void (await this.read());
    const generation = this.generation;
    const before = [...this.families];
    const page = await this.#page(undefined);
    if (generation !== this.generation || this.query) return;
    const next = this.next;
    this.families = new Map();
    await this.#take(page);
    const rest = before.slice(this.families.size).filter(([id]) => !this.families.has(id));
    if (page.has_more && rest.length) {
      for (const [id, family] of rest) this.families.set(id, family);
      this.next = next;
    }
    this.draw();
  }

  /** A conversation that was made or used just now comes first. */
  touch(conversation) {
    const id = rootOf(conversation);
    const family = this.families.get(id) ?? { root: id, title: conversation["eps:title"], members: new Set() };
    family.latest = conversation.id;
    family.time = new Date();
    family.members.add(conversation.id);
    if (conversation.id === id) family.title = conversation["eps:title"];
    this.families = new Map([[id, family], ...[...this.families].filter(([other]) => other !== id)]);
    if (!this.query) this.draw();
  }

  rename(rootId, title) {
    const family = this.families.get(rootId);
    if (family) family.title = title;
    this.draw();
  }

  remove(rootId) {
    this.families.delete(rootId);
    this.draw();
  }

  /** Which conversation is open; null in the empty page. */
  setCurrent(rootId) {
    this.current = rootId;
    for (const link of this.place.querySelectorAll("a")) mark(link, link.dataset.root === rootId);
  }

  draw() {
    const focused = document.activeElement?.closest?.("#conversations :is(a, button[data-root])");
    const groups = new Map();
    for (const family of this.families.values()) {
      const name = this.query ? "Found" : dayGroup(family.time);
      groups.set(name, [...(groups.get(name) ?? []), family]);
    }
    const drawn = [...groups].map(([name, families]) => this.#drawGroup(name, families));
    if (!drawn.length) drawn.push(element("p", { class: "hint" }, this.query ? "Nothing was found." : "Your conversations appear here."));
    if (this.notice) drawn.push(element("p", { class: "hint", role: "status" }, this.notice));
    this.place.replaceChildren(...drawn, this.more);
    this.#watchEnd();
    if (focused) this.place.querySelector(`${focused.localName}[data-root="${CSS.escape(focused.dataset.root)}"]`)?.focus();
  }

  /** Tells anew whether the end is in sight: a page may be a single family, and a screen higher than a page. */
  #watchEnd() {
    this.sight.unobserve(this.more);
    this.sight.observe(this.more);
  }

  #drawGroup(name, families) {
    const entries = families.map((family) => this.#drawEntry(family));
    return element("section", {}, element("h2", {}, name), element("ul", { "aria-label": name }, ...entries));
  }

  #drawEntry(family) {
    const title = family.title || UNTITLED;
    const link = element("a", { href: `/?c=${family.latest}`, "data-root": family.root, "data-conversation": family.latest, title }, title);
    mark(link, family.root === this.current);
    const options = iconButton("more", `Options for ${title}`, (event) => this.onOptions(family, event.currentTarget), {
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      "data-root": family.root,
    });
    return element("li", {}, link, options);
  }

  #page(after) {
    return this.api.get("/conversations", { query: { limit: PAGE, after, query: this.query || undefined } });
  }

  async #take(page) {
    this.next = page.has_more ? page.last_id : null;
    this.notice = page["eps:notices"]?.[0]?.message; // older ones are missing
    for (const conversation of page.data) this.#join(conversation);
    await Promise.all([...this.families.values()].filter((family) => family.title === undefined).map((family) => this.#findTitle(family)));
  }

  #join(conversation) {
    const id = rootOf(conversation);
    const usedAt = conversation["eps:last_used_at"] ?? conversation.created_at;
    const family = this.families.get(id) ?? { root: id, latest: conversation.id, time: new Date(usedAt * 1000), members: new Set() };
    family.members.add(conversation.id);
    if (conversation.id === id) family.title = conversation["eps:title"];
    this.families.set(id, family);
  }

  /** Of a fork whose root is further down in the list. */
  async #findTitle(family) {
    family.title = null;
    try {
      family.title = (await this.api.get(`/conversations/${encodeURIComponent(family.root)}`))["eps:title"];
    } catch {
      // It keeps its place without a title.
    }
  }

  async #readMore() {
    if (!this.next || this.isReading) return;
    this.isReading = true;
    const generation = this.generation;
    try {
      const page = await this.#page(this.next);
      if (generation !== this.generation) return;
      await this.#take(page);
      this.draw();
    } catch (error) {
      this.#say(explain(error), false);
    } finally {
      this.isReading = false;
    }
  }

  #say(text, isAlone) {
    const told = element("p", { class: "hint", role: "alert" }, text, " ", element("button", { class: "link", type: "button", onclick: () => this.read() }, "Try again"));
    if (isAlone) this.place.replaceChildren(told);
    else this.place.append(told);
  }

  #searchKey(event) {
    if (event.key === "ArrowDown") (event.preventDefault(), this.place.querySelector("a")?.focus());
    if (event.key === "Escape" && this.search.value) {
      event.stopPropagation();
      this.search.value = "";
      this.read();
    }
  }

  #listKey(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = [...this.place.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    if (!links.includes(document.activeElement)) return;
    event.preventDefault();
    (links[at] ?? (at < 0 ? this.search : links.at(-1))).focus();
  }
}

function mark(link, isCurrent) {
  if (isCurrent) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
