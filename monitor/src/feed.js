/**
 * Reads the feed, over as many connections as it takes.
 *
 * A state that is a second old is worth nothing, so nothing is resumed. What was refused for good (401, 403, 404) is
 * not asked again; all else is, ever less often.
 *
 * @import { FeedEvent } from './shapes.js'
 */

import { EventStreamParser } from '../../client/parser.js';

/** A feed that says nothing for so long is one that is cut and was not told. */
const SILENCE_MS = 6000;

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 10_000;

/**
 * Why the server does not want this token.
 *
 * @typedef {{ status: number, code: string, message: string }} Refusal
 */

/**
 * @typedef {object} Wait
 * @property {number} until
 * @property {string} why
 * @property {boolean} isHeard the server is there, whatever is wrong
 */

/**
 * @typedef {object} Listener
 * @property {(event: FeedEvent) => void} onEvent
 * @property {(wait: Wait) => void} onWait it is tried again then
 * @property {(refusal: Refusal) => void} onRefused nothing more comes
 */

const NOT_UNDERSTOOD = 'This page does not understand what the server says: reload it';

export class Feed {
  #token;
  #listener;
  #end = new AbortController();
  #attempt = 0;
  /** @type {() => void} */
  #hasten = () => {};

  /**
   * @param {string} token
   * @param {Listener} listener
   */
  constructor(token, listener) {
    this.#token = token;
    this.#listener = listener;
    const { signal } = this.#end;
    addEventListener('online', () => this.#hasten(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.#hasten(), { signal });
    void this.#run();
  }

  stop() {
    this.#end.abort();
    this.#hasten();
  }

  async #run() {
    while (!this.#end.signal.aborted) {
      const why = await this.#read();
      if (this.#end.signal.aborted) return;
      if (why === 'again') continue;
      await this.#wait(why);
    }
  }

  /** Reads one connection to its end; answers with why that came. */
  async #read() {
    const cut = new AbortController();
    const signal = AbortSignal.any([cut.signal, this.#end.signal]);
    let silence = setTimeout(() => cut.abort(), SILENCE_MS);
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => cut.abort(), SILENCE_MS);
    };
    try {
      const headers = { authorization: `Bearer ${this.#token}`, accept: 'text/event-stream' };
      const response = await fetch('/v1/monitor/events', { headers, signal, cache: 'no-store' });
      if (!response.ok || !response.body) return await this.#refused(response);
      const parser = new EventStreamParser();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return 'The connection was cut';
        heard();
        for (const { data } of parser.push(value)) {
          const event = this.#take(data);
          if (!event) return NOT_UNDERSTOOD;
          if (event.type === 'end') return event.reason === 'again' ? 'again' : 'The server has stopped';
        }
      }
    } catch {
      return navigator.onLine ? 'The server cannot be reached' : 'This machine is offline';
    } finally {
      clearTimeout(silence);
      cut.abort();
    }
  }

  /**
   * Hands an event on; answers with it, or with nothing if that fails. Then it is the page that is wrong, or older than
   * the server, and not the network.
   *
   * @param {string} data
   */
  #take(data) {
    try {
      /** @type {FeedEvent} */
      const event = JSON.parse(data);
      this.#listener.onEvent(event);
      this.#attempt = 0;
      return event;
    } catch (error) {
      reportError(error);
      return undefined;
    }
  }

  /** @param {Response} response */
  async #refused(response) {
    const { status } = response;
    const problem = await response.json().catch(() => ({}));
    const message = problem.message ?? `the server answered ${status}`;
    if (status === 401 || status === 403 || status === 404) {
      this.#end.abort();
      this.#listener.onRefused({ status, code: problem.error?.code ?? '', message });
    }
    return `The server answers ${status}: ${message}`;
  }

  /** @param {string} why */
  async #wait(why) {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    // Many pages that lost the same server do not come back as one.
    const wait = longest * (0.75 + Math.random() / 4);
    this.#listener.onWait({ until: Date.now() + wait, why, isHeard: why === NOT_UNDERSTOOD });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#hasten = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.#hasten = () => {};
  }
}
