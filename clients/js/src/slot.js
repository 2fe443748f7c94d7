/**
 * One of the few places for a connection that stays open, among all tabs of an origin: browsers
 * allow six to a host on HTTP/1.1, and the page needs some for itself.
 */

/** How many connections all tabs hold open together. */
const SLOTS = 4;

export class Slot {
  #names;
  #held = false;
  #left = new AbortController();
  #waits = false;
  /** The entering of now. @type {Promise<boolean> | undefined} */
  #entering;
  /** @type {() => void} */
  #release = () => {};

  /** @param {string} scope the tabs and the server whose connections are counted together */
  constructor(scope) {
    this.#names = Array.from({ length: SLOTS }, (_, index) => `${scope} slot ${index}`);
  }

  /**
   * Whether a connection may be held open now. If not, a place is waited for, and a later call
   * will find it. Who gave up waiting for the answer and asks again shares it: two at once could take
   * a place each.
   */
  enter() {
    this.#entering ??= this.#enter().finally(() => (this.#entering = undefined));
    return this.#entering;
  }

  async #enter() {
    for (const name of this.#names) {
      if (this.#held || this.#left.signal.aborted) return this.#held;
      if (!this.#waits) await this.#take(name);
    }
    if (!this.#held && !this.#waits) this.#wait();
    return this.#held;
  }

  /** Gives the place to others. */
  leave() {
    this.#left.abort();
    this.#release();
  }

  /**
   * Takes this one, if it is free.
   *
   * @param {string} name
   */
  async #take(name) {
    await new Promise((resolve) => {
      const asked = navigator.locks.request(name, { ifAvailable: true }, (lock) => {
        const held = lock && this.#hold();
        resolve(undefined);
        return held;
      });
      // A frame that may not have locks cannot count with the others.
      asked.catch(() => resolve((this.#held = true)));
    });
  }

  /** Takes the first that becomes free. */
  #wait() {
    this.#waits = true;
    const found = new AbortController();
    this.#left.signal.addEventListener('abort', () => found.abort());
    for (const name of this.#names) {
      navigator.locks
        .request(name, { signal: found.signal }, () => {
          // Two may have become free together.
          if (this.#held || this.#left.signal.aborted) return undefined;
          const held = this.#hold();
          found.abort();
          return held;
        })
        .catch(() => {});
    }
  }

  #hold() {
    this.#held = true;
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#release = resolve;
        if (this.#left.signal.aborted) resolve();
      })
    );
  }
}
