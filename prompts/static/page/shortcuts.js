/**
 * Keys for everything, and the dialog that tells them.
 */

import { openDialog } from "./dialogs.js";
import { element, find, isCommand } from "./elements.js";

const COMMAND = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
const KEYS = [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "New line"],
  [["↑"], "Edit the last message, from an empty field"],
  [["Esc"], "Stop the answer; close what is open"],
  [[COMMAND, "Shift", "O"], "New conversation"],
  [[COMMAND, "K"], "Search conversations"],
  [[COMMAND, "Shift", "S"], "Show or hide conversations"],
  [["Shift", "Esc"], "Go to the message field"],
  [["Alt", "↑"], "Go to the message before"],
  [["Alt", "↓"], "Go to the message after"],
  [[COMMAND, "Shift", ";"], "Copy the last answer"],
  [[COMMAND, "/"], "These keys"],
];

/** @param {Record<string, () => void>} acts newConversation, search, toggleSidebar, copyLast */
export function listenForShortcuts(acts) {
  document.addEventListener("keydown", (event) => {
    const act = findAct(event, acts);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function findAct(event, acts) {
  const { key, shiftKey, altKey } = event;
  const isInDialog = document.querySelector("dialog[open]") !== null;
  if (isInDialog) return null;
  if (isCommand(event) && !altKey) {
    const name = `${shiftKey ? "shift " : ""}${key.toLowerCase()}`;
    const found = { "shift o": acts.newConversation, k: acts.search, "shift s": acts.toggleSidebar, "/": showShortcuts };
    if (shiftKey && event.code === "Semicolon") return acts.copyLast;
    return found[name] ?? null;
  }
  if (altKey && (key === "ArrowUp" || key === "ArrowDown")) return () => step(key === "ArrowUp" ? -1 : 1);
  if (shiftKey && key === "Escape") return () => find("message").focus();
  if (key === "?" && !isWriting(event.target)) return showShortcuts;
  return null;
}

const isWriting = (target) => target.matches?.("input, textarea, select, [contenteditable]");

/** From message to message, beginning at the end. */
function step(by) {
  const all = [...find("thread").querySelectorAll("article")];
  const at = all.indexOf(document.activeElement?.closest?.("article"));
  const next = at < 0 ? all.at(-1) : all[at + by];
  if (!next) return by > 0 && find("message").focus();
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

export function showShortcuts() {
  const rows = KEYS.map(([keys, text]) => element("div", {}, element("dt", {}, ...keys.map((key) => element("kbd", {}, key))), element("dd", {}, text)));
  const close = element("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Close");
  const dialog = openDialog("Keyboard shortcuts", [element("dl", { class: "keys" }, ...rows), element("div", { class: "actions" }, close)]);
}
