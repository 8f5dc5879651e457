/**
 * A family: a conversation, and the forks that editing and asking again have made of it.
 *
 * A place is an item of the conversation that owns it. Its versions are that conversation, and its direct forks at that
 * item, so a version of a version is a fork of the same conversation. What a fork replaces stands in its metadata.
 */

export const ROOT = "eps_page_root";
const AT = "eps_page_fork_at";
const AFTER = "eps_page_fork_after";
const KIND = "eps_page_fork_kind";
const MAX_TRAIL = 100;

/** The conversation under whose title the family stands. */
export const rootOf = (conversation) => conversation.metadata[ROOT] ?? conversation.id;

export class Family {
  /**
   * @param {any[]} chain the conversation, the one that it was forked from, and so on to the root
   * @param {Map<string, any[]>} forks of each of them, by its id
   */
  constructor(chain, forks = new Map()) {
    this.chain = chain;
    this.forks = forks;
    /** The items that were read, newest first, and at which place of the chain each stands. */
    this.order = [];
    this.levels = new Map();
    this.level = 0;
    this.isWhole = false;
  }

  /** @param {import("./api.js").Api} api */
  static async read(api, conversation, signal) {
    const chain = [conversation];
    while (chain.at(-1).metadata[AT] && chain.at(-1)["eps:forked_from"]) {
      chain.push(await api.get(`/conversations/${chain.at(-1)["eps:forked_from"]}`, { signal }));
    }
    const family = new Family(chain);
    await family.readForks(api, signal);
    return family;
  }

  async readForks(api, signal) {
    const ids = this.chain.map((each) => each.id);
    const found = await Promise.all(ids.map((id) => listForks(api, id, signal)));
    this.forks = new Map(ids.map((id, index) => [id, found[index]]));
  }

  get root() {
    return this.chain.at(-1);
  }

  /** Take note of a page of items, newest first, as they are read. */
  claim(items, { isWhole }) {
    for (const item of items) {
      while (this.level < this.chain.length - 1 && item.id === this.chain[this.level].metadata[AFTER]) this.level += 1;
      this.levels.set(item.id, this.level);
      this.order.push(item.id);
    }
    this.isWhole = isWhole;
  }

  /** Take note of an item that has come at the end. */
  claimNew(item) {
    if (this.levels.has(item.id)) return;
    this.levels.set(item.id, 0);
    this.order.unshift(item.id);
  }

  /** The place of an item: whose it is, and which of its items stands (or stood) there. */
  placeOf(itemId) {
    const level = this.levels.get(itemId);
    if (level === undefined) return null;
    const older = this.#olderThan(itemId);
    const isFirst = level < this.chain.length - 1 && (older === "" || this.levels.get(older) > level);
    const place = { shown: this.chain[level], level, older };
    if (!isFirst) return { ...place, owner: this.chain[level], at: itemId };
    return { ...place, owner: this.chain[level + 1], at: this.chain[level].metadata[AT], older: this.chain[level].metadata[AFTER] };
  }

  /** The versions at an item; undefined where there is one alone. */
  versionsOf(itemId) {
    const place = this.placeOf(itemId);
    return place ? this.#versionsAt(place) : undefined;
  }

  #versionsAt({ owner, at, shown }) {
    const forks = (this.forks.get(owner.id) ?? []).filter((fork) => fork.metadata[AT] === at);
    if (!forks.length) return undefined;
    const ids = [owner.id, ...forks.map((fork) => fork.id)];
    const isEdited = forks.some((fork) => fork.metadata[KIND] !== "again");
    return { ids, at: Math.max(0, ids.indexOf(shown.id)), isEdited, place: { owner: owner.id, at } };
  }

  /** Whether it is a fork in which nothing of its own was kept. */
  get isEmptyFork() {
    return this.chain.length > 1 && this.levels.get(this.order[0]) !== 0;
  }

  /** The versions at the place of a fork without a message. */
  versionsOfEmpty() {
    const [shown, owner] = this.chain;
    return this.#versionsAt({ owner, at: shown.metadata[AT], shown });
  }

  /** Whether it must be known what stands before this item, and is not yet. */
  needsOlder(itemId) {
    return this.#olderThan(itemId) === undefined;
  }

  /** The body of the fork that replaces an item. `kind` is `edit` or `again`. */
  composeFork(place, kind) {
    const { [AT]: _at, [AFTER]: _after, [KIND]: _kind, ...kept } = this.chain[0].metadata;
    const metadata = { ...kept, [ROOT]: this.root.id, [AT]: place.at, [AFTER]: place.older ?? "", [KIND]: kind };
    return { before: place.at, metadata, "eps:title": this.root["eps:title"] ?? "" };
  }

  /** "" of the very first one, undefined when that is not read yet. */
  #olderThan(itemId) {
    const at = this.order.indexOf(itemId);
    return this.order[at + 1] ?? (this.isWhole ? "" : undefined);
  }
}

/** Which conversations were open: who walks back to a version finds what they have seen of it last. */
export class Trail {
  #chains = [];

  /** @param {any[]} chain of the conversation that was opened */
  leave(chain) {
    this.#chains = [chain, ...this.#chains.filter((each) => each[0].id !== chain[0].id)].slice(0, MAX_TRAIL);
  }

  /** The conversation to open for a version at a place: it, or the fork of it that was open last. */
  find(id, { owner, at }) {
    const last = this.#chains.find((chain) => {
      const level = chain.findIndex((each) => each.id === id);
      // A fork of the owner shows this version only when it begins behind the place.
      return level === 0 || (level > 0 && (id !== owner || timeOf(chain[level - 1].metadata[AT]) > timeOf(at)));
    });
    return last?.[0].id ?? id;
  }
}

/** Ids are ordered by time behind their partition. */
const timeOf = (id) => id.slice(id.indexOf("_") + 3, id.indexOf("_") + 15);

/** All forks below a conversation that this page has made: what goes with it when it is deleted. */
export async function listBelow(api, id) {
  const forks = await listForks(api, id);
  const below = await Promise.all(forks.map((fork) => listBelow(api, fork.id)));
  return [...forks, ...below.flat()];
}

async function listForks(api, id, signal) {
  const found = [];
  for (let after; ; ) {
    const page = await api.get("/conversations", { query: { forked_from: id, limit: 100, after }, signal });
    found.push(...page.data.filter((each) => each.metadata[AT]));
    if (!page.has_more) break;
    after = page.last_id;
  }
  return found.sort((one, other) => (one.id < other.id ? -1 : 1));
}
