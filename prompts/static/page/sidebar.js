/**
 * The frame of the list of conversations: hidden or shown, a drawer on small screens, and the person's menu.
 */

import { openMenu } from "./dialogs.js";
import { keep, recall } from "./drafts.js";
import { find } from "./elements.js";

const small = matchMedia("(max-width: 800px)");

/** Whether models are asked to tell their thoughts; some that have none refuse to be asked. */
export const showsThoughts = () => recall("thoughts") !== "hidden";

export class Sidebar {
  /** @param {{onSignOut: () => void, onShortcuts: () => void}} given */
  constructor({ onSignOut, onShortcuts }) {
    this.isHidden = recall("sidebar") === "hidden";
    this.isDrawn = false;
    this.account = find("account");
    this.account.querySelector(".face").dataset.initial = (document.body.dataset.user || "?").slice(0, 1).toUpperCase(); // no text: it is no part of the name
    this.account.addEventListener("click", () => openMenu(this.account, this.#menu(onSignOut, onShortcuts)));
    find("show-sidebar").addEventListener("click", () => this.show());
    find("hide-sidebar").addEventListener("click", () => this.hide());
    find("backdrop").addEventListener("click", () => this.hide());
    find("sidebar").addEventListener("keydown", (event) => event.key === "Escape" && small.matches && this.hide());
    small.addEventListener("change", () => this.#draw());
    this.#draw();
  }

  get isShown() {
    return small.matches ? this.isDrawn : !this.isHidden;
  }

  show() {
    this.#set(true);
    find("hide-sidebar").focus();
  }

  hide() {
    this.#set(false);
    find("show-sidebar").focus();
  }

  toggle() {
    if (this.isShown) this.hide();
    else this.show();
  }

  /** On a small screen, after something was chosen in it. */
  closeDrawer() {
    if (small.matches && this.isDrawn) this.hide();
  }

  #set(isShown) {
    if (small.matches) this.isDrawn = isShown;
    else {
      this.isHidden = !isShown;
      keep("sidebar", isShown ? null : "hidden");
    }
    this.#draw();
  }

  #draw() {
    const isShown = this.isShown;
    document.body.classList.toggle("without-sidebar", !isShown);
    find("sidebar").inert = !isShown;
    find("show-sidebar").hidden = isShown && !small.matches;
    find("backdrop").hidden = !(small.matches && isShown);
    find("talk").inert = small.matches && isShown;
  }

  #menu(onSignOut, onShortcuts) {
    const { docsUrl, adminUrl } = this.account.dataset;
    const signOut = () => {
      onSignOut();
      find("sign-out").submit();
    };
    return [
      { label: "Keyboard shortcuts", icon: "info", act: onShortcuts },
      { label: "Show thoughts", icon: "thought", isOn: showsThoughts(), act: () => keep("thoughts", showsThoughts() ? "hidden" : null) },
      { label: "API", icon: "tool", href: docsUrl },
      ...(adminUrl ? [{ label: "Admin", icon: "template", href: adminUrl }] : []),
      { label: "Sign out", icon: "back", act: signOut },
    ];
  }
}
