/**
 * Prompt templates: choose one, fill its variables, and it stands before the messages of this conversation.
 */

import { openDialog } from "./dialogs.js";
import { element, find, icon, iconButton } from "./elements.js";
import { explain } from "./explain.js";
import { uploadFile } from "./uploads.js";

const MANY = 8;

/**
 * What the person chooses: `{id, name, variables}`; null when they leave.
 * @param {import("./api.js").Api} api
 * @param {{id: string, variables: Record<string, unknown>}|null} inUse
 */
export async function chooseTemplate(api, inUse) {
  const body = element("div", { class: "templates", "aria-busy": "true" }, element("p", { class: "hint" }, "Reading…"));
  return new Promise((resolve) => {
    let chosen = null;
    const dialog = openDialog("Templates", [body], { wide: true });
    dialog.addEventListener("close", () => resolve(chosen));
    const choose = (template) => {
      chosen = template;
      dialog.close();
    };
    listTemplates(api)
      .then((templates) => showList(api, body, templates, inUse, choose))
      .catch((error) => body.replaceChildren(element("p", { role: "alert" }, explain(error)), cancelRow()))
      .finally(() => body.removeAttribute("aria-busy"));
  });
}

async function listTemplates(api) {
  const found = [];
  for (let after; ; ) {
    const page = await api.get("/prompts", { query: { limit: 100, after } });
    found.push(...page.data);
    if (!page.has_more) return found;
    after = page.last_id ?? page.data.at(-1).prompt_id;
  }
}

function showList(api, body, templates, inUse, choose) {
  if (!templates.length) {
    const hint = "There are no templates yet. Staff write them in the admin, and programs with POST /v1/prompts.";
    body.replaceChildren(element("p", { class: "hint" }, hint), cancelRow());
    return;
  }
  const list = element("ul", { "aria-label": "Templates" });
  const filter = element("input", { type: "search", "aria-label": "Find a template", placeholder: "Find a template" });
  const draw = () => {
    const words = filter.value.trim().toLowerCase();
    const fitting = templates.filter((each) => `${nameOf(each)} ${each.prompt}`.toLowerCase().includes(words));
    list.replaceChildren(...fitting.map((template) => templateRow(template, template.prompt_id === inUse?.id, pick)));
  };
  const pick = (template) => {
    if (!readVariables(template).length) return choose({ id: template.prompt_id, name: nameOf(template), variables: {} });
    const values = inUse?.id === template.prompt_id ? inUse.variables : {};
    body.replaceChildren(variablesForm(template, values, { api, choose, back: () => showList(api, body, templates, inUse, choose) }));
    body.querySelector("input, textarea, select")?.focus();
  };
  filter.addEventListener("input", draw);
  draw();
  body.replaceChildren(...(templates.length > MANY ? [filter] : []), list, cancelRow());
  body.querySelector("input, button")?.focus();
}

function cancelRow() {
  return element("form", { method: "dialog", class: "actions" }, element("button", {}, "Cancel"));
}

function templateRow(template, isInUse, pick) {
  const name = element("strong", {}, nameOf(template), template.owner === "everybody" && element("em", {}, "for everybody"));
  const text = element("span", { class: "template-text" }, template.prompt);
  return element("li", {}, element("button", { type: "button", "aria-pressed": isInUse ? "true" : null, onclick: () => pick(template) }, name, text));
}

function variablesForm(template, values, { api, choose, back }) {
  const fields = readVariables(template).map((variable) => fieldOf(variable, values[variable.name]));
  const problem = element("p", { class: "hint", role: "alert" });
  const leave = element("button", { type: "button", onclick: back }, "Back");
  const use = element("button", { type: "submit", class: "primary" }, "Use template");
  const actions = element("div", { class: "actions" }, leave, use);
  const text = element("p", { class: "template-text" }, template.prompt);
  const form = element("form", { class: "variables" }, element("h3", {}, nameOf(template)), text, ...fields.map(labelOf), problem, actions);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    use.disabled = true;
    try {
      const given = await Promise.all(fields.map(async (field) => [field.variable.name, await valueOf(api, field)]));
      const variables = Object.fromEntries(given.filter(([, value]) => value !== undefined));
      choose({ id: template.prompt_id, name: nameOf(template), variables });
    } catch (error) {
      problem.textContent = explain(error);
      use.disabled = false;
    }
  });
  return form;
}

/** A variable and where one fills it in. `kept` is a picture or a file that was given before. */
function fieldOf(variable, value) {
  const isNeeded = (variable.default ?? null) === null;
  const isFile = variable.type === "image" || variable.type === "file";
  const kept = isFile && value ? value : null;
  const props = { required: isNeeded && !kept, placeholder: variable.default };
  if (isFile) return { variable, kept, field: element("input", { type: "file", accept: variable.type === "image" ? "image/*" : null, required: props.required }) };
  const field = inputOf(variable, props);
  field.value = value ?? (variable.type === "enum" ? (variable.default ?? variable.values?.[0]) : "");
  return { variable, kept, field };
}

function inputOf({ type, values }, props) {
  if (type === "enum" && values?.length) return element("select", {}, ...values.map((value) => element("option", { value }, value)));
  if (type === "number") return element("input", { type: "number", step: "any", ...props });
  return element("textarea", { rows: "1", ...props });
}

function labelOf({ variable, field, kept }) {
  const hint = variable.description ?? (kept ? "given before; choose another one to change it" : "");
  return element("label", { class: "field" }, element("span", {}, variable.name, hint && element("em", {}, hint)), field);
}

async function valueOf(api, { variable, field, kept }) {
  if (variable.type !== "image" && variable.type !== "file") return field.value === "" ? undefined : field.value;
  if (!field.files.length) return kept ?? undefined;
  const isPicture = variable.type === "image";
  const { id } = await uploadFile(api, field.files[0], { purpose: isPicture ? "vision" : "user_data" });
  return { type: isPicture ? "input_image" : "input_file", file_id: id };
}

/** Variables with what is known of each: a name alone takes any text. */
function readVariables({ variables, variable_details: details }) {
  return details ?? (variables ?? []).map((name) => ({ name, type: "any" }));
}

const nameOf = (template) => template.name || template.prompt.split("\n")[0].slice(0, 60) || template.prompt_id;

/** The template that stands in a conversation's metadata; null where other clients have put something else. */
export function readTemplate(text) {
  try {
    const { id, name, variables } = JSON.parse(text ?? "null") ?? {};
    const isOne = [id, name].every((each) => typeof each === "string") && typeof variables === "object" && variables !== null;
    return isOne ? { id, name, variables } : null;
  } catch {
    return null;
  }
}

/** Show which template is in use, with a button to leave it. */
export function showTemplateInUse(template, { onChange, onRemove }) {
  const place = find("template-in-use");
  place.hidden = !template;
  place.replaceChildren();
  if (!template) return;
  const filled = Object.entries(template.variables).map(([name, value]) => `${name}: ${typeof value === "object" ? "a file" : value}`).join(", ");
  const name = element("button", { type: "button", class: "link", title: filled || template.name, onclick: onChange }, template.name);
  place.append(icon("template"), name, filled && element("span", { class: "filled" }, filled), iconButton("close", `Remove template ${template.name}`, onRemove));
}
