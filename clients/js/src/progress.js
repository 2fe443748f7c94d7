/**
 * How far a stream has been read: which events are new, which is missing, and whether the text is
 * what the server says it is. No connections here.
 *
 * @import { Event } from './shapes.js'
 * @import { Message } from './parser.js'
 */

import { broken, TailraceError } from './error.js';

export class Progress {
  #gapless;
  /** The text of all tokens, if it has been read from the start. @type {string[] | undefined} */
  #text;
  /** What is wrong with the last events that came, if the good ones before it are not all. @type {unknown} */
  fault;
  /** Whether the terminal event has come. */
  over = false;

  /**
   * @param {string} [id]
   * @param {number} [seq] of the last event that was seen; -1 before the first
   * @param {boolean} [gapless] whether every event comes here
   */
  constructor(id, seq = -1, gapless = true) {
    /** The stream's id, once that is known. */
    this.id = id;
    this.seq = seq;
    this.#gapless = gapless;
    this.#text = seq < 0 ? [] : undefined;
  }

  /** The id of the last event seen, if there was one. */
  get lastEventId() {
    return this.id !== undefined && this.seq >= 0 ? `${this.id}.${this.seq}` : undefined;
  }

  /** Where to go on. Only once the id is known. */
  get cursor() {
    return { id: this.id ?? '', lastEventId: this.lastEventId };
  }

  /**
   * Takes messages off the wire and answers with the events that are new. It stops at a fault.
   *
   * @param {Pick<Message, 'data' | 'id'>[]} messages
   */
  take(messages) {
    /** @type {Event[]} */
    const events = [];
    /** @type {unknown} */
    let fault;
    try {
      for (const message of messages) events.push(this.#parse(message));
    } catch (error) {
      fault = error;
    }
    const fresh = this.accept(events);
    this.fault ??= fault;
    return fresh;
  }

  /**
   * The same, of events.
   *
   * @param {Event[]} events
   * @returns {Event[]}
   */
  accept(events) {
    this.fault = undefined;
    /** @type {Event[]} */
    const fresh = [];
    for (const event of events) {
      if (this.over || event.seq <= this.seq) continue;
      if (event.seq > this.seq + 1 && this.#gapless) {
        this.fault = broken('gap', 'events are missing');
        break;
      }
      if (event.type === 'start') this.id ??= event.stream;
      if (event.type === 'token') this.#text?.push(event.text);
      this.seq = event.seq;
      this.over = event.type === 'done' || event.type === 'error';
      this.#end = event;
      fresh.push(event);
    }
    return fresh;
  }
  /** @type {Event | undefined} */
  #end;

  /**
   * Compares the text with the digest in `done`, where there is something that can: pages of
   * plain http origins have no `crypto.subtle`.
   */
  async verify() {
    const subtle = globalThis.crypto?.subtle;
    if (this.#end?.type !== 'done' || !this.#text || !subtle) return;
    const bytes = new TextEncoder().encode(this.#text.join(''));
    this.#text = undefined;
    const digest = new Uint8Array(await subtle.digest('SHA-256', bytes));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (hex !== this.#end.text_sha256) {
      throw new TailraceError('the text is not what the server sent', { code: 'text_mismatch' });
    }
  }

  /**
   * @param {Pick<Message, 'data' | 'id'>} message
   * @returns {Event}
   */
  #parse({ data, id }) {
    let event;
    try {
      event = JSON.parse(data);
    } catch (cause) {
      throw broken('invalid_event', 'an event is not JSON', cause);
    }
    if (typeof event?.type !== 'string' || !Number.isSafeInteger(event.seq)) {
      throw broken('invalid_event', 'an event has no type or no seq');
    }
    if (id !== undefined && this.id !== undefined && id !== `${this.id}.${event.seq}`) {
      throw broken('invalid_event', 'an event of another stream came');
    }
    return event;
  }
}
