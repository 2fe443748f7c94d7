/**
 * A stream as its user sees it: an async iterable of events that can be cancelled.
 *
 * @import { Event, StreamSnapshot } from './shapes.js'
 * @import { ConnectionState, FollowOptions } from './options.js'
 * @import { Progress } from './progress.js'
 */

import { TailraceError } from './error.js';
import { NEVER_BEGAN } from './reading.js';

/**
 * What reads for it.
 *
 * @typedef {object} Reader
 * @property {Progress} progress
 * @property {Promise<string>} identified
 * @property {() => AsyncGenerator<Event[], void, undefined>} batches
 * @property {(milliseconds?: number) => void} disconnect
 * @property {() => void} hasten
 * @property {(reason: unknown) => void} stop
 */

/** Why it ended, if its user left. */
const LEFT = new TailraceError('its reader has left', { code: 'closed' });

/** @implements {AsyncIterable<Event>} */
export class TokenStream {
  #reader;
  #cancel;
  #signal;
  #onConnection;
  #attempt = 0;
  #iterated = false;
  #ended = false;
  /** The last event that its user has been given. */
  #given = -1;

  /**
   * @param {(report: (state: ConnectionState) => void) => Reader} read
   * @param {(id: string) => Promise<StreamSnapshot>} cancel
   * @param {FollowOptions} options
   */
  constructor(read, cancel, { signal, onConnection }) {
    this.#reader = read((state) => this.#report(state));
    this.#given = this.#reader.progress.seq;
    this.#cancel = cancel;
    this.#signal = signal;
    this.#onConnection = onConnection;
  }

  /** The stream's id, as soon as the server has said it. */
  get id() {
    return this.#reader.progress.id;
  }

  /** The id of the last event that the loop was given: where `follow` would go on. */
  get lastEventId() {
    return this.id !== undefined && this.#given >= 0 ? `${this.id}.${this.#given}` : undefined;
  }

  /**
   * Ends the generation; the events then end with `done`, `cancelled`. Without a generation yet
   * it waits until there is one; if there will be none, the events end without any.
   *
   * @returns {Promise<StreamSnapshot | undefined>} the stream as it stands, if there is one
   */
  async cancel() {
    if (this.id === undefined) {
      if (!this.#iterated || this.#ended) {
        this.#reader.stop(NEVER_BEGAN);
        return undefined;
      }
      this.#reader.hasten();
    }
    let { id } = this;
    try {
      id ??= await this.#reader.identified;
    } catch (error) {
      if (error === NEVER_BEGAN) return undefined;
      throw error;
    }
    return this.#cancel(id);
  }

  /**
   * Drops the connection as a broken network would, for so long. It resumes by itself.
   *
   * @param {number} [milliseconds]
   */
  disconnect(milliseconds = 0) {
    this.#reader.disconnect(milliseconds);
  }

  /** @returns {AsyncIterator<Event, void, undefined>} */
  [Symbol.asyncIterator]() {
    if (this.#iterated) throw new TypeError('a stream can be iterated once');
    this.#iterated = true;
    const events = this.#events();
    return {
      next: () => events.next(),
      return: () => {
        // A generator that waits for the network would not hear of it before that has spoken.
        this.#reader.stop(LEFT);
        return events.return();
      },
    };
  }

  /** @returns {AsyncGenerator<Event, void, undefined>} */
  async *#events() {
    const stop = () => this.#reader.stop(this.#signal?.reason);
    this.#signal?.addEventListener('abort', stop);
    if (this.#signal?.aborted) stop();
    /** @type {TailraceError | undefined} */
    let failure;
    try {
      for await (const batch of this.#reader.batches()) {
        for (const event of batch) {
          this.#signal?.throwIfAborted();
          this.#given = event.seq;
          yield event;
        }
      }
    } catch (error) {
      if (error === LEFT || error === NEVER_BEGAN) return;
      if (error instanceof TailraceError) failure = error;
      throw error;
    } finally {
      this.#ended = true;
      this.#signal?.removeEventListener('abort', stop);
      this.#reader.stop(LEFT);
      this.#report({ state: 'closed', attempt: this.#attempt, ...(failure && { error: failure }) });
    }
  }

  /** @param {ConnectionState} state */
  #report(state) {
    this.#attempt = state.attempt;
    this.#onConnection?.(state);
  }
}
