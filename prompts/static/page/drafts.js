/**
 * What is typed and not yet sent, kept in the browser by conversation: it survives a reload, a closed tab, a sign-in.
 */

const PREFIX = "eps:";
let person = "";

/** Drafts belong to a person, by the id: names may be the same. Whoever signs in next on this browser sees none. */
export function keepFor(id) {
  person = id;
}

/** What was kept under a name; null without anything, or where the browser keeps nothing. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(`${PREFIX}${person}:${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** Keep a value under a name; an empty one goes. */
export function keep(name, value) {
  try {
    const key = `${PREFIX}${person}:${name}`;
    if (value === null || value === "") localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // The browser keeps nothing (private window, full): the page works without.
  }
}

/** Forget everything, when a person signs out. */
export function forgetAll() {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  } catch {
    // Nothing was kept.
  }
}

export const readDraft = (conversationId) => recall(`draft:${conversationId ?? "new"}`) ?? "";
export const keepDraft = (conversationId, text) => keep(`draft:${conversationId ?? "new"}`, text);
