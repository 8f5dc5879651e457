/**
 * From the items of a history to what is shown of it: messages of one's own, answers, and notes.
 *
 * An entry is `{kind: "said", item}`, `{kind: "answer", answer}` or `{kind: "note", text}`, each with `key`.
 */

import { Answer } from "./answers.js";

const ATTACHED = "Attached files: ";
const BODY_LENGTH = 32;
const TITLE_CHARACTERS = 60;

/** The response whose output an item is, known from its id; null of what was sent (`prompts/domain/ids.py`). */
export function responseOf(itemId) {
  const body = itemId.slice(itemId.indexOf("_") + 1);
  return body.length > BODY_LENGTH ? `resp_${body.slice(0, BODY_LENGTH)}` : null;
}

/** The entries of items in the order of time. */
export function toEntries(items) {
  const entries = [];
  for (const item of items) {
    const last = entries.at(-1);
    const responseId = responseOf(item.id);
    if (item.type === "message" && item.role === "user") entries.push({ kind: "said", key: item.id, item });
    else if (item.type === "message" && item.role !== "assistant") entries.push(toNote(item));
    else if (last?.kind === "answer" && belongs(last, item, responseId)) last.items.push(item);
    else entries.push({ kind: "answer", key: item.id, responseId, items: [item] });
  }
  return entries.map((entry) => (entry.kind === "answer" ? finish(entry) : entry));
}

function belongs(entry, item, responseId) {
  return responseId ? responseId === entry.responseId : item.type.endsWith("_output") || entry.responseId === null;
}

function finish({ key, responseId, items }) {
  return { kind: "answer", key, answer: Answer.ofItems(responseId, items) };
}

function toNote(item) {
  const text = item.content.map((part) => part.text ?? "").join("");
  return { kind: "note", key: item.id, text };
}

/** An answer knows the message that it answers. */
export function link(entries) {
  entries.forEach((entry, index) => {
    if (entry.kind === "answer" && entries[index - 1]?.kind === "said") entry.said = entries[index - 1];
  });
  return entries;
}

/** The first words of a message. */
export function titleOf(content) {
  const { text, documents } = readContent(content);
  const line = (text || documents[0] || "Picture").trim().split("\n")[0].replace(/\s+/g, " ");
  if (line.length <= TITLE_CHARACTERS) return line;
  const cut = line.slice(0, TITLE_CHARACTERS);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), TITLE_CHARACTERS / 2))}…`;
}

/** The parts of a message for a text and what goes with it. */
export function toContent(text, images, documents) {
  return [
    ...(text ? [{ type: "input_text", text }] : []),
    ...images.map((file) => ({ type: "input_image", file_id: file.id })),
    ...(documents.length ? [{ type: "input_text", text: ATTACHED + documents.map((file) => JSON.stringify(file.filename)).join(", ") }] : []),
  ];
}

/** What a message holds: its text, images and files, and the names of documents that came with it. */
export function readContent(content) {
  const texts = content.filter((part) => part.type === "input_text").map((part) => part.text);
  const documents = texts.length && readNames(texts.at(-1));
  if (documents) texts.pop();
  return {
    text: texts.join("\n\n"),
    images: content.filter((part) => part.type === "input_image"),
    files: content.filter((part) => part.type === "input_file"),
    documents: documents || [],
  };
}

/** The parts of a message with another text; what came with it stays. */
export function withText(content, text) {
  const names = readContent(content).documents.length ? [content.findLast((part) => part.type === "input_text")] : [];
  return [{ type: "input_text", text }, ...content.filter((part) => part.type !== "input_text"), ...names];
}

function readNames(text) {
  if (!text.startsWith(ATTACHED)) return null;
  try {
    const names = JSON.parse(`[${text.slice(ATTACHED.length)}]`);
    return names.every((name) => typeof name === "string") ? names : null;
  } catch {
    return null;
  }
}
