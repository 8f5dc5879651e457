/**
 * The versions of one place of a conversation, to walk between: ‹ 2/3 ›.
 */

import { element, iconButton } from "./elements.js";

/**
 * @param {{ids: string[], at: number, place: any}} versions conversations, and which of them is shown
 * @param {(conversationId: string, place: any, button: HTMLElement) => void} onVersion
 */
export function versionsElement({ ids, at, place }, onVersion) {
  const step = (by) => (event) => onVersion(ids[at + by], place, event.currentTarget);
  return element(
    "div",
    { class: "versions", role: "group", "aria-label": "Versions" },
    iconButton("back", "Previous version", step(-1), { disabled: at === 0 }),
    element("span", {}, `${at + 1}/${ids.length}`),
    iconButton("next", "Next version", step(1), { disabled: at === ids.length - 1 }),
  );
}
