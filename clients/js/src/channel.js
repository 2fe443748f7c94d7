/**
 * What the tabs that follow one stream say to each other, and which of them reads.
 *
 * @import { Event } from './shapes.js'
 * @import { ConnectionState } from './options.js'
 */

import { TailraceError } from './error.js';

/**
 * `events` may be empty: the reader is alive. `last` is the number of its last event. `hello` asks it how
 * things stand.
 *
 * @typedef {{ kind: 'events', events: Event[], last: number }
 *   | { kind: 'state', state: ConnectionState }
 *   | { kind: 'disconnect', milliseconds: number }
 *   | { kind: 'hello' }} Said
 */

/** Whether tabs can share here. Pages of plain http origins have no locks, and Node has no tabs. */
export function canShare() {
  return Boolean(
    globalThis.location && globalThis.navigator?.locks && globalThis.BroadcastChannel,
  );
}

/**
 * What the tabs of this origin have in common that speak to this server.
 *
 * @param {string} baseUrl
 */
export function scopeOf(baseUrl) {
  return `tailrace ${new URL(baseUrl || '/', globalThis.location.href).href}`;
}

export class Channel {
  #name;
  #channel;
  #left = new AbortController();
  /** @type {() => void} */
  #release = () => {};

  /**
   * @param {string} scope
   * @param {string} id the stream's
   * @param {(said: Said) => void} hear
   */
  constructor(scope, id, hear) {
    this.#name = `${scope} ${id}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (data.kind === 'state' && data.state.error) {
        const { message, ...details } = data.state.error;
        data.state.error = new TailraceError(message, details);
      }
      hear(data);
    };
  }

  /** @param {Said} said */
  say(said) {
    if (this.#left.signal.aborted) return;
    if (said.kind !== 'state' || !said.state.error) return this.#channel.postMessage(said);
    // Of an error's own properties a structured clone keeps none.
    const { message, code, status, retryable, retryAfterMs, requestId } = said.state.error;
    const error = { message, code, status, retryable, retryAfterMs, requestId };
    this.#channel.postMessage({ kind: 'state', state: { ...said.state, error } });
  }

  /**
   * Becomes the tab that reads, if nobody is.
   *
   * @returns {Promise<boolean>}
   */
  lead() {
    return new Promise((resolve) => {
      const asked = navigator.locks.request(this.#name, { ifAvailable: true }, (lock) => {
        const held = lock && this.#hold();
        resolve(Boolean(lock));
        return held;
      });
      // A frame that may not have locks reads for itself.
      asked.catch(() => resolve(true));
    });
  }

  /**
   * Becomes the tab that reads when those before it have closed or left. The browser frees what a
   * closed or killed tab has held.
   *
   * @param {() => void} lead
   */
  succeed(lead) {
    navigator.locks
      .request(this.#name, { signal: this.#left.signal }, () => {
        if (this.#left.signal.aborted) return undefined;
        lead();
        return this.#hold();
      })
      .catch(() => {});
  }

  /**
   * Leaves it to the others, after so many milliseconds: if there is nothing more to read, they
   * are about to hear that.
   */
  leave(milliseconds = 0) {
    this.#left.abort();
    this.#channel.close();
    if (milliseconds > 0) setTimeout(() => this.#release(), milliseconds);
    else this.#release();
  }

  #hold() {
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        this.#release = resolve;
        if (this.#left.signal.aborted) resolve();
      })
    );
  }
}
