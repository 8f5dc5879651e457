/**
 * A message of one's own: its words as they were typed, its pictures and files, and what can be done with it.
 */

import { copyWith, element, icon, iconButton } from "./elements.js";
import { readContent } from "./entries.js";
import { timeElement, timeOfId } from "./times.js";
import { versionsElement } from "./versions.js";

/** Beyond this a message is folded: what was pasted is seldom read again. */
const LONG_CHARACTERS = 1500;

/**
 * @param {{item: any, isUnsent?: boolean, versions?: any}} entry an item without an id is not stored yet
 * @param {{onEdit: Function, onVersion: Function, picture: (part: any) => Promise<string>}} context
 */
export function saidElement(entry, context) {
  const { text, images, files, documents } = readContent(entry.item.content);
  const bubble = element("div", { class: "bubble" });
  if (images.length) bubble.append(element("div", { class: "pictures" }, ...images.map((part) => pictureElement(part, context))));
  const names = [...documents, ...files.map((part) => part.filename ?? part.file_url ?? "file")];
  if (names.length) bubble.append(element("ul", { class: "file-names" }, ...names.map((name) => element("li", {}, icon("file"), name))));
  if (text) bubble.append(...wordsElements(text));
  const article = element("article", { class: "said", "aria-label": "You", tabindex: "-1" }, bubble, toolsElement(entry, text, context));
  return article;
}

function wordsElements(text) {
  const words = element("p", { class: "words" }, text);
  if (text.length <= LONG_CHARACTERS) return [words];
  words.classList.add("folded");
  const more = element("button", { type: "button", class: "link", "aria-expanded": "false", onclick: unfold }, "Show all");
  function unfold() {
    const isFolded = words.classList.toggle("folded");
    more.textContent = isFolded ? "Show all" : "Show less";
    more.setAttribute("aria-expanded", String(!isFolded));
  }
  return [words, more];
}

function pictureElement(part, context) {
  const image = element("img", { alt: "Attached picture", class: "loading" });
  context.picture(part).then(
    (address) => (image.src = address),
    () => image.replaceWith(element("span", { class: "missing" }, icon("file"), "Picture")),
  );
  image.addEventListener("load", () => image.classList.remove("loading"));
  return image;
}

function toolsElement(entry, text, context) {
  const tools = element("div", { class: "tools" });
  const date = entry.item.id && timeOfId(entry.item.id);
  if (date) tools.append(timeElement(date));
  if (text) {
    const copy = iconButton("copy", "Copy message", () => copyWith(copy, text));
    tools.append(copy);
  }
  if (entry.item.id && !entry.isUnsent) tools.append(iconButton("edit", "Edit message", () => context.onEdit(entry)));
  if (entry.versions && entry.versions.isEdited) tools.append(versionsElement(entry.versions, context.onVersion));
  if (entry.isUnsent) tools.append(element("span", { class: "unsent" }, "Not in the conversation"));
  return tools;
}

/** A version in which nothing was said, or nothing that was kept. */
export function gapElement(versions, onVersion) {
  const hint = element("p", { class: "hint" }, "This version has no message yet.");
  return element("article", { class: "said", "aria-label": "You", tabindex: "-1" }, hint, element("div", { class: "tools" }, versionsElement(versions, onVersion)));
}

/**
 * The message as a field, to say it in other words.
 * @param {any} entry
 * @param {{onSend: (text: string) => void, onCancel: () => void}} context
 */
export function editElement(entry, { onSend, onCancel }) {
  const { text } = readContent(entry.item.content);
  const field = element("textarea", { "aria-label": "Edited message", rows: "3" });
  field.value = entry.editedText ?? text;
  field.addEventListener("input", () => (entry.editedText = field.value));
  const send = element("button", { type: "submit", class: "primary", "aria-label": "Send edited message" }, "Send");
  const cancel = element("button", { type: "button", onclick: onCancel }, "Cancel");
  const form = element("form", { class: "editing" }, field, element("div", { class: "actions" }, cancel, send));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (field.value.trim()) onSend(field.value.trim());
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") (event.stopPropagation(), onCancel());
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) (event.preventDefault(), form.requestSubmit());
  });
  return element("article", { class: "said", "aria-label": "You", tabindex: "-1" }, form);
}
