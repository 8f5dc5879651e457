/**
 * What happens elsewhere: other tabs tell it at once; other devices are seen by looking, while the page is visible.
 */

const LOOK_MS = 3000;
const IDLE_LOOK_MS = 15_000;
/** After so long without anything new, one looks less often. */
const IDLE_AFTER_MS = 300_000;
/** Every so many looks, the list of conversations is read too. */
const LOOKS_A_LIST = 10;

export class Watch {
  /** @param {{look: () => Promise<boolean>, refresh: () => Promise<void>, onError: (error: any) => void}} given */
  constructor({ look, refresh, onError }) {
    this.look = look;
    this.refresh = refresh;
    this.onError = onError;
    this.looks = 0;
    this.lastNews = Date.now();
    this.channel = new BroadcastChannel("eps-page");
  }

  start() {
    this.channel.addEventListener("message", ({ data }) => this.#hear(data));
    document.addEventListener("visibilitychange", () => document.hidden || this.#now({ withList: true }));
    addEventListener("focus", () => this.#now());
    addEventListener("online", () => this.#now({ withList: true }));
    this.#plan();
  }

  stop() {
    this.isOver = true;
    clearTimeout(this.timer);
  }

  /** Tell the other tabs. @param {{change: string, id: string}} news */
  tell(news) {
    this.channel.postMessage(news);
  }

  #hear({ change }) {
    this.#now({ withList: change !== "turn" });
  }

  #now({ withList = false } = {}) {
    this.lastNews = Date.now();
    if (withList) this.looks = 0;
    this.#once();
  }

  #plan() {
    clearTimeout(this.timer);
    if (this.isOver) return;
    const isIdle = Date.now() - this.lastNews > IDLE_AFTER_MS;
    this.timer = setTimeout(() => this.#once(), isIdle ? IDLE_LOOK_MS : LOOK_MS);
  }

  async #once() {
    clearTimeout(this.timer);
    try {
      if (!document.hidden && navigator.onLine) {
        if (this.looks++ % LOOKS_A_LIST === 0 && this.looks > 1) await this.refresh();
        if (await this.look()) this.lastNews = Date.now();
      }
    } catch (error) {
      if (error?.name !== "AbortError") this.onError(error);
    }
    this.#plan();
  }
}
