/**
 * A stream read by the browser's own `EventSource`, with a ticket: the browser reconnects by itself,
 * but any status except 200 closes it for good. Then a new ticket opens a new one where it was.
 *
 * @import { Event, StreamSnapshot, Ticket } from './shapes.js'
 * @import { ConnectionState } from './options.js'
 * @import { RetryPolicy } from './retry.js'
 */

import { broken, TailraceError } from './error.js';
import { Progress } from './progress.js';
import { pause, retryDelay, unless } from './retry.js';

/**
 * The names of the events: an `EventSource` dispatches only those that are listened for. Others, of a
 * newer server, are gaps.
 */
const NAMES = ['start', 'token', 'reasoning', 'refusal', 'tool_call', 'logprobs', 'done', 'error'];

/**
 * What it asks of the client.
 *
 * @typedef {object} Calls
 * @property {((id: string) => Promise<Ticket>) | undefined} ticket absent if cookies say who calls
 * @property {(id: string) => Promise<StreamSnapshot>} snapshot
 * @property {(path: string) => string} url
 * @property {boolean} withCredentials
 */

export class EventSourceReading {
  #calls;
  #policy;
  #report;
  #id;
  #end = new AbortController();
  #cut = new AbortController();
  #awayUntil = 0;
  #attempt = 0;
  /** @type {Event[]} */
  #fresh = [];
  /** @type {() => void} */
  #wake = () => {};

  /**
   * @param {Calls} calls
   * @param {RetryPolicy} policy
   * @param {{ id: string, after: number }} source
   * @param {(state: ConnectionState) => void} report
   */
  constructor(calls, policy, { id, after }, report) {
    this.#calls = calls;
    this.#policy = policy;
    this.#report = report;
    this.#id = id;
    this.progress = new Progress(id, after, false);
    this.identified = Promise.resolve(id);
  }

  /** @param {number} [milliseconds] */
  disconnect(milliseconds = 0) {
    this.#awayUntil = Date.now() + milliseconds;
    this.#break(broken('disconnected', 'the connection was dropped on purpose'));
  }

  hasten() {}

  /** @param {unknown} reason */
  stop(reason) {
    this.#end.abort(reason);
    this.#break(reason);
  }

  /** @param {unknown} reason */
  #break(reason) {
    this.#cut.abort(reason);
    this.#wake();
  }

  /** @returns {AsyncGenerator<Event[], void, undefined>} */
  async *batches() {
    while (!this.progress.over) {
      this.#end.signal.throwIfAborted();
      this.#cut = new AbortController();
      this.#attempt += 1;
      this.#report({ state: 'connecting', attempt: this.#attempt });
      try {
        if (await this.#isOver()) return;
        const ticket = await unless(this.#cut.signal, this.#ticket());
        this.#cut.signal.throwIfAborted();
        yield* this.#source(ticket?.ticket);
      } catch (error) {
        this.#end.signal.throwIfAborted();
        if (!(error instanceof TailraceError)) throw error;
        await this.#recover(error);
      }
    }
  }

  async #ticket() {
    return this.#calls.ticket?.(this.#id);
  }

  /** An `EventSource` cannot tell that there is nothing left from a refusal. */
  async #isOver() {
    if (this.#attempt === 1 && this.progress.seq < 0) return false;
    const { status, last_event_id } = await unless(
      this.#cut.signal,
      this.#calls.snapshot(this.#id),
    );
    return status !== 'running' && last_event_id === this.progress.lastEventId;
  }

  /**
   * @param {string | undefined} ticket
   * @returns {AsyncGenerator<Event[], void, undefined>}
   */
  async *#source(ticket) {
    const { url, withCredentials } = this.#calls;
    const { lastEventId } = this.progress;
    const query = new URLSearchParams();
    if (ticket !== undefined) query.set('ticket', ticket);
    if (lastEventId !== undefined) query.set('last_event_id', lastEventId);
    const path = `/v1/streams/${encodeURIComponent(this.#id)}/events?${query}`;
    const source = new EventSource(url(path), { withCredentials });
    source.onopen = () => {
      const resumedAfter = this.progress.lastEventId;
      this.#report({ state: 'open', attempt: this.#attempt, ...(resumedAfter && { resumedAfter }) });
    };
    for (const name of NAMES) source.addEventListener(name, (event) => this.#take(event, source));
    try {
      while (!this.progress.over || this.#fresh.length > 0) {
        if (this.#fresh.length > 0) {
          const batch = this.#fresh;
          this.#fresh = [];
          if (this.progress.over) await this.progress.verify();
          yield batch;
        } else {
          this.#cut.signal.throwIfAborted();
          await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
        }
      }
    } finally {
      source.close();
    }
  }

  /**
   * @param {any} event a message, or that the connection broke
   * @param {EventSource} source
   */
  #take({ data, lastEventId }, source) {
    if (data === undefined) {
      if (source.readyState === EventSource.CLOSED) {
        this.#break(broken('refused', 'the server refused the EventSource, or has ended it'));
      } else {
        this.#report({ state: 'connecting', attempt: this.#attempt });
      }
      return;
    }
    const batch = this.progress.take([{ data, id: lastEventId }]);
    if (batch.length > 0) this.#attempt = 1;
    this.#fresh.push(...batch);
    if (this.progress.fault) this.#break(this.progress.fault);
    else this.#wake();
  }

  /** @param {TailraceError} error */
  async #recover(error) {
    const away = this.#awayUntil - Date.now();
    const onPurpose = error.code === 'disconnected';
    const delay = onPurpose ? Math.max(0, away) : retryDelay(this.#policy, this.#attempt, error);
    if (delay === undefined) throw error;
    this.#report({ state: 'waiting', attempt: this.#attempt, retryInMs: delay, error });
    this.#cut = new AbortController();
    await pause(delay, this.#cut.signal, !onPurpose);
  }
}
