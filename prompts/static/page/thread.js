/**
 * What was said, from the oldest to the newest, as far as it is read: pages are put before it while one scrolls up.
 *
 * Entries stand in blocks. A block that is far from what is seen gives its elements back and keeps its height, so that
 * a conversation of any length costs what is on the screen.
 */

import { element } from "./elements.js";

/** Few enough that drawing them takes no more than a frame or two. */
const BLOCK_ENTRIES = 10;
/** The height that an entry counts until it is drawn. What is seen keeps its place when the real height differs. */
const ENTRY_PX = 180;
/** How far beyond the screen blocks keep their elements, and earlier pages are read. */
const NEAR_PX = 1500;
/** Whoever is this near to the end stays there while it grows. */
const END_PX = 60;

export class Thread {
  /**
   * @param {{scroller: HTMLElement, list: HTMLElement, jump: HTMLElement, render: (entry: any) => HTMLElement,
   *   loadOlder: () => Promise<void>}} given
   */
  constructor({ scroller, list, jump, render, loadOlder }) {
    this.scroller = scroller;
    this.list = list;
    this.jump = jump;
    this.render = render;
    this.loadOlder = loadOlder;
    this.blocks = [];
    this.isAtEnd = true;
    this.hasOlder = false;
    this.isLoading = false;
    this.lastTop = 0;
    this.top = element("button", { type: "button", class: "earlier", onclick: () => this.#older() }, "Show earlier messages");
    this.sight = new IntersectionObserver((seen) => this.#see(seen), { root: scroller, rootMargin: `${NEAR_PX}px 0px` });
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.#keepEnd()).observe(list);
    new ResizeObserver(() => this.#keepEnd()).observe(scroller);
  }

  get entries() {
    return this.blocks.flatMap((block) => block.entries);
  }

  /** Show these entries in place of what was there. */
  show(entries, { hasOlder }) {
    this.clear();
    for (let at = 0; at < entries.length; at += BLOCK_ENTRIES) this.#addBlock(entries.slice(at, at + BLOCK_ENTRIES), null);
    for (const block of this.blocks.slice(-2)) this.#mount(block);
    this.#setOlder(hasOlder);
    this.isAtEnd = true;
    this.toEnd();
  }

  clear() {
    this.sight.disconnect();
    this.blocks = [];
    this.list.replaceChildren();
    this.scroller.scrollTop = 0;
    this.#setOlder(false);
  }

  /** Put a page of earlier entries before the others; what is seen stays where it is. */
  prepend(entries, { hasOlder }) {
    const anchor = this.#anchor();
    for (let end = entries.length; end > 0; end -= BLOCK_ENTRIES) {
      this.#addBlock(entries.slice(Math.max(0, end - BLOCK_ENTRIES), end), this.blocks[0] ?? null);
    }
    this.#setOlder(hasOlder);
    this.#restore(anchor);
  }

  append(...entries) {
    if (!this.blocks.length) this.list.replaceChildren(); // what was said instead of messages
    for (const entry of entries) {
      const last = this.blocks.at(-1);
      if (!last || last.entries.length >= BLOCK_ENTRIES) this.#mount(this.#addBlock([entry], null));
      else {
        last.entries.push(entry);
        if (last.isMounted) last.element.append(this.#draw(entry));
      }
    }
    this.#keepEnd();
  }

  remove(...entries) {
    for (const block of this.blocks) {
      block.entries = block.entries.filter((entry) => !entries.includes(entry));
    }
    for (const entry of entries) entry.element?.remove();
  }

  /** Draw an entry anew, when it is drawn at all. */
  refresh(entry) {
    const old = entry.element;
    if (!old?.isConnected) return;
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    old.replaceWith(this.#draw(entry));
    if (focused) entry.element.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  }

  toEnd() {
    this.isAtEnd = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#showJump();
  }

  /** Bring an entry to where something stood before: `top` in pixels of the screen, or the upper third. */
  bringTo(entry, top) {
    this.isAtEnd = false;
    const block = this.blocks.find((each) => each.entries.includes(entry));
    if (block) this.#mount(block);
    const at = entry.element.getBoundingClientRect().top;
    this.scroller.scrollTop += at - (top ?? this.scroller.getBoundingClientRect().top + this.scroller.clientHeight / 4);
    this.#scrolled();
  }

  #addBlock(entries, before) {
    const block = { entries, element: element("div", { class: "block" }), isMounted: false };
    block.element.block = block;
    const at = before ? this.blocks.indexOf(before) : this.blocks.length;
    this.blocks.splice(at, 0, block);
    this.list.insertBefore(block.element, before?.element ?? null);
    block.element.style.height = `${entries.length * ENTRY_PX}px`;
    this.sight.observe(block.element);
    return block;
  }

  #draw(entry) {
    entry.element = this.render(entry);
    return entry.element;
  }

  #mount(block) {
    if (block.isMounted) return;
    block.isMounted = true;
    block.element.style.height = "";
    block.element.append(...block.entries.map((entry) => this.#draw(entry)));
  }

  #unmount(block) {
    const isInUse = block === this.blocks.at(-1) || block.element.contains(document.activeElement);
    if (!block.isMounted || isInUse || block.entries.some((entry) => entry.answer?.isLive)) return;
    block.isMounted = false;
    block.element.style.height = `${block.element.offsetHeight}px`;
    block.element.replaceChildren();
    for (const entry of block.entries) {
      entry.element = null;
      entry.view = null;
    }
  }

  #see(seen) {
    const anchor = this.#anchor();
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) this.#mount(target.block);
      else this.#unmount(target.block);
    }
    if (this.isAtEnd) this.#keepEnd();
    else this.#restore(anchor);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    // What grows below does not lead away from the end; scrolling up does.
    if (scrollHeight - scrollTop - clientHeight < END_PX) this.isAtEnd = true;
    else if (scrollTop < this.lastTop - 1) this.isAtEnd = false;
    this.lastTop = scrollTop;
    this.#showJump();
    if (scrollTop < NEAR_PX && this.hasOlder) this.#older();
  }

  #showJump() {
    this.jump.hidden = this.isAtEnd || this.blocks.length === 0;
  }

  /** Who reads the end stays at it while it grows. */
  #keepEnd() {
    if (!this.blocks.length) return;
    if (this.isAtEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.#scrolled();
  }

  async #older() {
    if (this.isLoading || !this.hasOlder) return;
    this.isLoading = true;
    this.top.setAttribute("aria-busy", "true");
    try {
      await this.loadOlder();
    } finally {
      this.isLoading = false;
      this.top.removeAttribute("aria-busy");
    }
  }

  #setOlder(hasOlder) {
    this.hasOlder = hasOlder;
    if (hasOlder) this.list.prepend(this.top);
    else this.top.remove();
  }

  #anchor() {
    const top = this.scroller.getBoundingClientRect().top;
    const shown = [...this.list.querySelectorAll("article")].find((each) => each.getBoundingClientRect().bottom > top);
    return shown && { shown, top: shown.getBoundingClientRect().top };
  }

  #restore(anchor) {
    if (anchor?.shown.isConnected) this.scroller.scrollTop += anchor.shown.getBoundingClientRect().top - anchor.top;
  }
}
