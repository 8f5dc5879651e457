/**
 * What asks or tells: dialogs, menus, notices. Focus goes back to where it was.
 */

import { element, find, icon } from "./elements.js";

const NOTICE_MS = 6000;

/**
 * A dialog that is shown; it is gone when it closes, by Escape too.
 * @param {string} title
 * @param {Node[]} content
 * @param {{wide?: boolean}} [options]
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, content, { wide = false } = {}) {
  const name = element("h2", { id: "dialog-title" }, title);
  const dialog = element("dialog", { class: wide ? "dialog wide" : "dialog", "aria-labelledby": "dialog-title" }, name, ...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Whether the person says yes. */
export function confirm({ title, text, action }) {
  return new Promise((resolve) => {
    let said = false;
    const yes = element("button", { type: "button", class: "danger", onclick: () => ((said = true), dialog.close()) }, action);
    const no = element("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel");
    const dialog = openDialog(title, [element("p", {}, text), element("div", { class: "actions" }, no, yes)]);
    dialog.addEventListener("close", () => resolve(said));
  });
}

/** A line of text; null when the person leaves it. */
export function askText({ title, label, value, action, max }) {
  return new Promise((resolve) => {
    let said = null;
    const field = element("input", { type: "text", "aria-label": label, maxlength: max, autofocus: true, required: true });
    field.value = value;
    const cancel = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const save = element("button", { type: "submit", class: "primary" }, action);
    const form = element("form", { method: "dialog" }, field, element("div", { class: "actions" }, cancel, save));
    form.addEventListener("submit", () => (said = field.value.trim()));
    const dialog = openDialog(title, [form]);
    field.select();
    dialog.addEventListener("close", () => resolve(said));
  });
}

/**
 * A menu below a button: arrows move, Escape closes, letters jump.
 * @param {HTMLElement} opener
 * @param {{label: string, icon?: string, act?: () => void, href?: string, isDangerous?: boolean, isOn?: boolean}[]} items
 */
export function openMenu(opener, items) {
  const menu = element("div", { class: "menu", role: "menu", "aria-label": opener.getAttribute("aria-label"), popover: "auto" });
  menu.append(...items.map((item) => menuItem(item, () => menu.hidePopover())));
  menu.addEventListener("keydown", moveInMenu);
  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    opener.setAttribute("aria-expanded", "false");
    if (menu.contains(document.activeElement) || document.activeElement === document.body) opener.focus();
    menu.remove();
  });
  document.body.append(menu);
  menu.showPopover();
  opener.setAttribute("aria-expanded", "true");
  place(menu, opener);
  /** @type {HTMLElement} */ (menu.firstElementChild).focus();
}

function menuItem({ label, icon: picture, act, href, isDangerous, isOn }, close) {
  const isSwitch = isOn !== undefined;
  const props = { role: isSwitch ? "menuitemcheckbox" : "menuitem", tabindex: "-1", class: isDangerous ? "danger" : null };
  if (isSwitch) Object.assign(props, { "aria-checked": String(isOn) });
  const content = [picture && icon(picture), label, isOn && element("span", { class: "on" }, icon("check"))];
  if (href) return element("a", { ...props, href, onclick: close }, ...content);
  const onclick = () => {
    close();
    act?.();
  };
  return element("button", { ...props, type: "button", onclick }, ...content);
}

function place(menu, opener) {
  const at = opener.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.right - width, innerWidth - width - 8));
  const below = at.bottom + 4;
  menu.style.left = `${left}px`;
  menu.style.top = `${below + height > innerHeight - 8 ? Math.max(8, at.top - height - 4) : below}px`;
}

function moveInMenu(event) {
  const items = [...event.currentTarget.children];
  const at = items.indexOf(document.activeElement);
  const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
  let next = steps[event.key];
  if (event.key === "Tab") event.currentTarget.hidePopover();
  if (next === undefined && event.key.length === 1) {
    const letter = event.key.toLowerCase();
    const later = [...items.slice(at + 1), ...items.slice(0, at + 1)];
    next = items.indexOf(later.find((item) => item.textContent.trim().toLowerCase().startsWith(letter)));
    if (next < 0) return;
  }
  if (next === undefined) return;
  event.preventDefault();
  items[(next + items.length) % items.length].focus();
}

/**
 * A notice that goes by itself, or when it is closed.
 * @param {string} text
 * @param {{action?: string, act?: () => void, isError?: boolean}} [options]
 */
export function notify(text, { action, act, isError = false } = {}) {
  const notice = element("div", { class: isError ? "toast error" : "toast" }, element("span", {}, text));
  const leave = () => notice.remove();
  if (action) notice.append(element("button", { type: "button", onclick: () => (leave(), act?.()) }, action));
  notice.append(element("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: leave }, icon("close")));
  find("toasts").append(notice);
  let timer = setTimeout(leave, NOTICE_MS);
  // Whoever reads or reaches for it has all the time.
  for (const name of ["pointerenter", "focusin"]) notice.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) notice.addEventListener(name, () => (timer = setTimeout(leave, NOTICE_MS)));
}
