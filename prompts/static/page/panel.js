/**
 * What stands beside the text: the passages that an answer cites, the account of an answer, the files of a conversation.
 */

import { element, find, icon, iconButton } from "./elements.js";
import { explain } from "./explain.js";

const number = new Intl.NumberFormat();

export class Panel {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    this.aside = find("panel");
    this.title = find("panel-title");
    this.body = find("panel-body");
    this.opener = null;
    find("close-panel").addEventListener("click", () => this.close());
    this.aside.addEventListener("keydown", (event) => event.key === "Escape" && (event.stopPropagation(), this.close()));
  }

  get isOpen() {
    return !this.aside.hidden;
  }

  close({ refocus = true } = {}) {
    if (!this.isOpen) return;
    this.aside.hidden = true;
    document.body.classList.remove("has-panel");
    if (refocus) this.opener?.focus();
  }

  /** The passages of an answer, with the numbers of its citations; the wanted one comes first into sight. */
  async openSources(answer, wanted, numbers) {
    await this.#open("Sources", async () => {
      answer.passages ??= (await this.api.get(`/responses/${answer.responseId}/passages`)).data;
      const used = answer.passages.filter((each) => numbers.has(each.index)).sort((one, other) => numbers.get(one.index) - numbers.get(other.index));
      const given = answer.passages.filter((each) => !numbers.has(each.index));
      const content = used.map((each) => passageElement(each, numbers.get(each.index)));
      if (given.length) {
        const folded = element("details", { class: "fold", open: !used.length || given.some((each) => each.index === wanted) });
        folded.append(element("summary", {}, icon("file"), element("span", {}, `Found, and not cited: ${given.length}`)), ...given.map((each) => passageElement(each)));
        content.push(folded);
      }
      return content.length ? content : [element("p", { class: "hint" }, "The passages of this answer are not kept any more.")];
    });
    const shown = this.body.querySelector(`[data-passage="${Number(wanted)}"]`);
    if (!shown) return;
    shown.classList.add("wanted");
    shown.scrollIntoView({ block: "nearest" });
    shown.focus({ preventScroll: true });
  }

  /** Tokens, what was left out or ignored, and what made the answer. */
  openDetails(answer) {
    return this.#open("Details", async () => {
      const isWhole = answer.response && answer.response.status !== "in_progress";
      answer.response = isWhole ? answer.response : await this.api.get(`/responses/${answer.responseId}`);
      return describe(answer.response);
    });
  }

  /** The documents that answers of a conversation search. */
  openFiles(vectorStoreId) {
    return this.#open("Files", async () => {
      const hint = element("p", { class: "hint" }, "Answers in this conversation search these files.");
      if (!vectorStoreId) return [element("p", { class: "hint" }, "No files are attached to this conversation.")];
      const files = await this.api.listAll(`/vector_stores/${encodeURIComponent(vectorStoreId)}/files`);
      const named = await Promise.all(files.map((file) => this.#name(file)));
      const rows = named.map((file) => this.#fileRow(file));
      return [hint, element("ul", { class: "file-rows" }, ...rows), ...(rows.length ? [] : [element("p", { class: "hint" }, "There are none left.")])];
    });
  }

  async #name(file) {
    const stored = await this.api.get(`/files/${file.id}`).catch(() => null);
    return { ...file, filename: stored?.filename ?? file.id };
  }

  #fileRow(file) {
    const state = { completed: "", in_progress: "Reading", failed: file.last_error ? explain(file.last_error) : "Not readable" }[file.status] ?? file.status;
    const remove = iconButton("delete", `Remove ${file.filename}`, async () => {
      try {
        await this.api.del(`/files/${file.id}`);
        row.remove();
        this.title.focus();
      } catch (error) {
        row.append(element("p", { class: "hint", role: "alert" }, explain(error)));
      }
    });
    const row = element("li", {}, icon("file"), element("span", {}, file.filename), state && element("em", {}, state), remove);
    return row;
  }

  async #open(title, read) {
    if (!this.aside.contains(document.activeElement)) this.opener = document.activeElement;
    this.title.textContent = title;
    this.body.setAttribute("aria-busy", "true");
    this.body.replaceChildren(element("p", { class: "hint" }, "Reading…"));
    this.aside.hidden = false;
    document.body.classList.add("has-panel");
    this.title.focus();
    const reading = (this.reading = {});
    let content;
    try {
      content = await read();
    } catch (error) {
      content = [element("p", { class: "hint", role: "alert" }, explain(error))];
    }
    if (reading !== this.reading) return;
    this.body.removeAttribute("aria-busy");
    this.body.replaceChildren(...content);
    this.body.scrollTop = 0;
  }
}

function passageElement(passage, number) {
  const place = [passage.heading, passage.page && `page ${passage.page}`].filter(Boolean).join(" · ");
  return element(
    "article",
    { class: "passage", tabindex: "-1", "data-passage": passage.index, "aria-label": `Source ${number ?? ""}: ${passage.filename}` },
    element("h3", {}, number && element("span", { class: "number" }, String(number)), passage.filename),
    place && element("p", { class: "hint" }, place),
    element("p", { class: "passage-text" }, passage.text),
  );
}

function describe(response) {
  const { usage, "eps:model_input": given, "eps:ignored": ignored, "eps:notices": notices } = response;
  const parts = [];
  if (usage) parts.push(table("Tokens", usageRows(response)));
  if (given) parts.push(table("What the model was given (estimates)", givenRows(given)));
  if (given?.dropped_items || given?.dropped_passages) parts.push(table("Left out, for want of room", droppedRows(given)));
  if (ignored?.length) parts.push(element("h3", {}, "Ignored"), element("ul", { class: "plain" }, ...ignored.map((name) => element("li", {}, element("code", {}, name)))));
  if (notices?.length) parts.push(element("h3", {}, "Notices"), ...notices.map(({ message }) => element("p", {}, message)));
  parts.push(table("The answer", answerRows(response)));
  return parts;
}

function usageRows({ usage, "eps:usage_estimated": isEstimated }) {
  const thinking = usage.output_tokens_details?.reasoning_tokens;
  const cached = usage.input_tokens_details?.cached_tokens;
  return [
    ["Read", count(usage.input_tokens)],
    cached ? ["– of these cached", count(cached)] : null,
    ["Written", count(usage.output_tokens)],
    thinking ? ["– of these thoughts", count(thinking)] : null,
    ["Together", count(usage.total_tokens) + (isEstimated ? " (estimated)" : "")],
  ];
}

function givenRows(given) {
  const row = (name, items, tokens) => (items ? [`${name} (${count(items)})`, count(tokens)] : null);
  return [
    row("Earlier messages", given.history_items, given.history_tokens),
    row("Your message", given.input_items, given.input_tokens),
    row("Passages of files", given.passages, given.passages_tokens),
    given.instructions_tokens ? ["Instructions", count(given.instructions_tokens)] : null,
    given.tools_tokens ? ["Tools", count(given.tools_tokens)] : null,
    ["Room for earlier messages", count(given.history_budget_tokens)],
  ];
}

function droppedRows(given) {
  return [
    given.dropped_items ? ["Earlier messages", count(given.dropped_items)] : null,
    given.dropped_passages ? ["Passages", count(given.dropped_passages)] : null,
  ];
}

function answerRows(response) {
  const tookS = response.completed_at ? response.completed_at - response.created_at : null;
  return [
    ["Model", response.model],
    response.prompt ? ["Template", `${response.prompt.id}, version ${response.prompt.version}`] : null,
    tookS === null ? null : ["Took", tookS ? `${tookS} s` : "less than a second"],
    ["Status", response.status],
    ["Id", response.id],
  ];
}

function table(title, rows) {
  const lines = rows.filter(Boolean).map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)));
  return element("table", { class: "account-table" }, element("caption", {}, title), element("tbody", {}, ...lines));
}

const count = (value) => number.format(value ?? 0);
