/**
 * Prompt templates: choose one, fill its variables, and it stands before the messages of this conversation.
 */

import { openDialog } from "./dialogs.js";
import { element, find, icon, iconButton } from "./elements.js";
import { explain } from "./explain.js";

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
    const close = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    dialog.append(element("div", { class: "actions" }, close));
    dialog.addEventListener("close", () => resolve(chosen));
    const choose = (template) => {
      chosen = template;
      dialog.close();
    };
    listTemplates(api)
      .then((templates) => showList(body, templates, inUse, choose))
      .catch((error) => body.replaceChildren(element("p", { role: "alert" }, explain(error))))
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

function showList(body, templates, inUse, choose) {
  if (!templates.length) {
    const hint = "There are no templates yet. Staff write them in the admin, and programs with POST /v1/prompts.";
    body.replaceChildren(element("p", { class: "hint" }, hint));
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
    body.replaceChildren(variablesForm(template, inUse?.id === template.prompt_id ? inUse.variables : {}, choose, () => showList(body, templates, inUse, choose)));
    body.querySelector("input, textarea, select")?.focus();
  };
  filter.addEventListener("input", draw);
  draw();
  body.replaceChildren(...(templates.length > MANY ? [filter] : []), list);
  body.querySelector("input, button")?.focus();
}

function templateRow(template, isInUse, pick) {
  const name = element("strong", {}, nameOf(template));
  const text = element("span", { class: "template-text" }, template.prompt);
  return element("li", {}, element("button", { type: "button", "aria-pressed": isInUse ? "true" : null, onclick: () => pick(template) }, name, text));
}

function variablesForm(template, values, choose, back) {
  const variables = readVariables(template);
  const fields = variables.map((variable) => fieldOf(variable, values[variable.name]));
  const cancel = element("button", { type: "button", onclick: back }, "Back");
  const use = element("button", { type: "submit", class: "primary" }, "Use template");
  const labels = fields.map(({ variable, field }) => element("label", { class: "field" }, element("span", {}, variable.name, variable.hint && element("em", {}, variable.hint)), field));
  const form = element("form", { method: "dialog", class: "variables" }, element("h3", {}, nameOf(template)), element("p", { class: "template-text" }, template.prompt), ...labels, element("div", { class: "actions" }, cancel, use));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = fields.map(({ variable, field }) => [variable.name, valueOf(variable, field)]).filter(([, value]) => value !== undefined);
    choose({ id: template.prompt_id, name: nameOf(template), variables: Object.fromEntries(given) });
  });
  return form;
}

function fieldOf(variable, value) {
  const shown = value ?? variable.default ?? "";
  const isNeeded = variable.default === undefined || variable.default === null;
  let field;
  if (variable.choices?.length) {
    field = element("select", {}, ...variable.choices.map((choice) => element("option", { value: choice }, String(choice))));
  } else if (variable.type === "number" || variable.type === "integer") {
    field = element("input", { type: "number", step: variable.type === "integer" ? "1" : "any", required: isNeeded });
  } else if (variable.type === "boolean") {
    field = element("select", {}, ...["true", "false"].map((choice) => element("option", { value: choice }, choice)));
  } else {
    field = element("textarea", { rows: "1", required: isNeeded });
  }
  field.value = String(shown);
  return { variable, field };
}

function valueOf(variable, field) {
  if (field.value === "" && variable.default !== undefined) return undefined;
  return field.value;
}

/** Variables as the API shows them: names, or objects with a type and a default. */
function readVariables({ variables }) {
  if (Array.isArray(variables)) return variables.map((each) => normal(typeof each === "string" ? { name: each } : each));
  return Object.entries(variables ?? {}).map(([name, each]) => normal({ name, ...(typeof each === "object" ? each : { default: each }) }));
}

function normal(variable) {
  const choices = variable.choices ?? variable.enum ?? variable.options;
  const isFile = ["image", "file", "input_image", "input_file"].includes(variable.type);
  const hint = variable.description ?? (isFile ? "the id of an uploaded file" : "");
  return { ...variable, choices, isFile, hint };
}

const nameOf = (template) => template.name || template.prompt.split("\n")[0].slice(0, 60) || template.prompt_id;

/** Show which template is in use, with a button to leave it. */
export function showTemplateInUse(template, { onChange, onRemove }) {
  const place = find("template-in-use");
  place.hidden = !template;
  place.replaceChildren();
  if (!template) return;
  const filled = Object.entries(template.variables).map(([name, value]) => `${name}: ${value}`).join(", ");
  const name = element("button", { type: "button", class: "link", title: filled || template.name, onclick: onChange }, template.name);
  place.append(icon("template"), name, filled && element("span", { class: "filled" }, filled), iconButton("close", `Remove template ${template.name}`, onRemove));
}
