/**
 * Saying something in other words, asking again, and walking between what came of it.
 */

import { notify } from "./dialogs.js";
import { withText } from "./entries.js";

export class Rewriting {
  /**
   * @param {{talk: import("./talk.js").Talk, thread: import("./thread.js").Thread, focusComposer: () => void,
   *   goTo: (open: () => Promise<any>) => Promise<any>, onError: (error: any) => void}} given
   */
  constructor({ talk, thread, focusComposer, goTo, onError }) {
    this.talk = talk;
    this.thread = thread;
    this.focusComposer = focusComposer;
    this.goTo = goTo;
    this.onError = onError;
    this.isForking = false;
  }

  /** Whether an answer is being written, which must end first; the person is told. */
  isBusy() {
    if (this.talk.isAnswering) notify("Wait for the answer, or stop it first.");
    return this.talk.isAnswering;
  }

  /** Show a message as a field, or as a message again. */
  edit(entry, isEdited) {
    if (isEdited && this.isBusy()) return;
    entry.isEdited = isEdited;
    if (!isEdited) entry.editedText = undefined;
    this.thread.refresh(entry);
    const field = entry.element.querySelector("textarea");
    if (field) (field.focus(), field.setSelectionRange(field.value.length, field.value.length));
    else entry.element.querySelector('[aria-label="Edit message"]')?.focus();
  }

  editLast() {
    const last = this.thread.entries.findLast((entry) => entry.kind === "said" && entry.item.id && !entry.isUnsent);
    if (!last) return;
    if (!last.element) this.thread.bringTo(last);
    this.edit(last, true);
    last.element.scrollIntoView({ block: "nearest" });
  }

  /** The same message with another text; what came with it stays. */
  sendEdited(entry, text) {
    return this.#askInstead(entry, "edit", { content: withText(entry.item.content, text) });
  }

  askAgain({ said }) {
    return this.#askInstead(said, "again", { content: said.item.content, reference: said.item.id });
  }

  /** Open another version where one stands: nothing moves under the eyes, and the focus stays. */
  async openVersion(id, place, button) {
    const [label, { top }] = [button.getAttribute("aria-label"), button.getBoundingClientRect()];
    const found = await this.goTo(() => this.talk.openVersion(id, place));
    if (this.talk.conversation) history.pushState(null, "", `/?c=${this.talk.conversation.id}`);
    if (!found) return;
    this.thread.bringTo(found);
    const shown = [found, ...this.thread.entries.filter((entry) => entry.said === found)];
    const buttons = shown.flatMap((entry) => [...(entry.element?.querySelectorAll(".versions button:not([disabled])") ?? [])]);
    const next = buttons.find((each) => each.getAttribute("aria-label") === label) ?? buttons[0];
    if (!next) return;
    this.thread.scroller.scrollTop += next.getBoundingClientRect().top - top;
    next.focus({ preventScroll: true });
  }

  async #askInstead(said, kind, message) {
    if (this.isBusy() || this.isForking) return; // a second click makes no second fork
    this.isForking = true;
    this.focusComposer();
    try {
      await this.talk.askInstead(said, kind, message);
    } catch (error) {
      this.onError(error);
    } finally {
      this.isForking = false;
    }
  }
}
