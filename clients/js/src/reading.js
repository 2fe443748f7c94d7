/**
 * One stream read over as many connections as it takes: the only place that decides what to do
 * about a failure. It answers with batches of events, each event once and in order.
 *
 * @import { CreateStream, Event } from './shapes.js'
 * @import { Http } from './http.js'
 * @import { ConnectionState } from './options.js'
 * @import { RetryPolicy } from './retry.js'
 */

import { broken, TailraceError } from './error.js';
import { Progress } from './progress.js';
import { isOffline, pause, retryDelay } from './retry.js';
import { openEvents } from './transport.js';

/**
 * What is read: a new generation, or one that exists, after what has been seen of it.
 *
 * @typedef {{ request: CreateStream, key: string } | { id: string, after: number }} Source
 */

/** Why a reading ends that was cancelled before there was a generation. */
export const NEVER_BEGAN = new TailraceError('it was cancelled before it began', {
  code: 'cancelled',
});

export class Reading {
  #http;
  #policy;
  #report;
  #source;
  /** Ends all of it. */
  #end = new AbortController();
  /** Ends the connection or the waiting of now, and nothing else. */
  #cut = new AbortController();
  #attempt = 0;
  #regenerated = 0;
  /** Until when nothing is to be connected. */
  #awayUntil = 0;
  /** The last attempt got an answer, and it was a refusal: nothing has begun. */
  #refused = true;
  #baseMs;
  /** @type {(id: string) => void} */
  #foundId = () => {};
  /** @type {(error: unknown) => void} */
  #failedId = () => {};

  /**
   * @param {Http} http
   * @param {RetryPolicy} policy
   * @param {Source} source
   * @param {(state: ConnectionState) => void} report
   */
  constructor(http, policy, source, report) {
    this.#http = http;
    this.#policy = policy;
    this.#report = report;
    this.#source = source;
    this.#baseMs = policy.baseMs;
    this.progress = 'id' in source ? new Progress(source.id, source.after) : new Progress();
    /** Settles when it is known which stream this is, or that it will never be. @type {Promise<string>} */
    this.identified = new Promise((resolve, reject) => {
      this.#foundId = resolve;
      this.#failedId = reject;
    });
    this.identified.catch(() => {});
    if (this.progress.id) this.#foundId(this.progress.id);
  }

  /** Drops the connection, and stays away for so many milliseconds. */
  disconnect(milliseconds = 0) {
    this.#awayUntil = Date.now() + milliseconds;
    this.#cut.abort(broken('disconnected', 'the connection was dropped on purpose'));
  }

  /** Ends it: `batches` throws this reason. */
  stop(/** @type {unknown} */ reason) {
    this.#failedId(reason);
    this.#end.abort(reason);
    this.#cut.abort(reason);
  }

  /** Whoever waits for its id wants it now, or to hear that nothing has begun. */
  hasten() {
    if (this.progress.id) return;
    if (this.#refused) this.stop(NEVER_BEGAN);
    else this.#wake.abort();
  }
  #wake = new AbortController();

  /** @returns {AsyncGenerator<Event[], void, undefined>} */
  async *batches() {
    try {
      while (!this.progress.over) {
        this.#end.signal.throwIfAborted();
        const failure = yield* this.#connection();
        if (!failure) return;
        await this.#recover(failure);
      }
    } catch (error) {
      this.#failedId(error);
      throw error;
    }
  }

  /**
   * One connection, from its request to its end. Answers with what broke it; with nothing, if
   * there is no more to read.
   *
   * @returns {AsyncGenerator<Event[], TailraceError | undefined, undefined>}
   */
  async *#connection() {
    const { progress } = this;
    const seen = progress.lastEventId;
    this.#attempt += 1;
    this.#report({ state: 'connecting', attempt: this.#attempt });
    const cut = new AbortController();
    this.#cut = cut;
    this.#refused = false;
    /** @type {Awaited<ReturnType<typeof openEvents>> | undefined} */
    let events;
    try {
      const source = progress.id ? { cursor: progress.cursor } : this.#source;
      events = await openEvents(this.#http, source, cut, this.#policy.silenceMs);
      if (!events) return undefined;
      if (events.id) this.#identify(events.id);
      this.#report({
        state: 'open',
        attempt: this.#attempt,
        ...(seen !== undefined && { resumedAfter: seen }),
      });
      /** How many came without a pause, as long as that is being counted. */
      let replayed = seen === undefined ? -1 : 0;
      for (;;) {
        if (replayed >= 0 && (await events.pauses())) {
          this.#report({ state: 'open', attempt: this.#attempt, replayed });
          replayed = -1;
        }
        const messages = await events.next();
        if (!messages) throw broken('incomplete', 'the connection ended before the stream did');
        if (events.retryMs !== undefined) this.#baseMs = events.retryMs;
        const batch = progress.take(messages);
        if (progress.id) this.#identify(progress.id);
        if (batch.length > 0) this.#attempt = 1;
        if (replayed >= 0) {
          replayed += batch.length;
          if (progress.over) this.#report({ state: 'open', attempt: this.#attempt, replayed });
        }
        const again = this.#mayRegenerate(batch);
        if (again) return again;
        await progress.verify();
        yield batch;
        if (progress.over) return undefined;
        if (progress.missing) throw broken('gap', 'events are missing');
      }
    } catch (error) {
      this.#end.signal.throwIfAborted();
      // What cut it says why, whatever the reader made of that.
      const cause = cut.signal.aborted ? cut.signal.reason : error;
      if (!(cause instanceof TailraceError)) throw cause;
      this.#refused = cause.status !== undefined;
      return cause;
    } finally {
      if (progress.over) events?.finish();
      else cut.abort(broken('closed', 'the connection is no longer needed'));
    }
  }

  /** @param {string} id */
  #identify(id) {
    this.progress.id = id;
    this.#foundId(id);
  }

  /**
   * A stream that failed before its first token, in a way that may not happen again, has given its
   * key up: the same request generates anew.
   *
   * @param {Event[]} batch
   */
  #mayRegenerate(batch) {
    const last = batch.at(-1);
    if (last?.type !== 'error' || !last.error.retryable || this.progress.seq > 1) return undefined;
    if (!('request' in this.#source) || this.#regenerated >= this.#policy.regenerate) {
      return undefined;
    }
    this.#regenerated += 1;
    this.#attempt = this.#regenerated;
    this.progress = new Progress();
    const { code, message } = last.error;
    return new TailraceError(message, { code, retryable: true });
  }

  /**
   * Waits until it is worth trying again.
   *
   * @param {TailraceError} failure
   * @throws what cannot be mended
   */
  async #recover(failure) {
    const away = this.#awayUntil - Date.now();
    const onPurpose = failure.code === 'disconnected';
    // While there is no network, attempts fail for certain; they are made, but do not count.
    if (isOffline()) this.#attempt = Math.min(this.#attempt, this.#policy.attempts);
    const delay = onPurpose
      ? Math.max(0, away)
      : retryDelay(this.#policy, this.#attempt, failure, this.#baseMs);
    if (delay === undefined) throw failure;
    this.#report({ state: 'waiting', attempt: this.#attempt, retryInMs: delay, error: failure });
    this.#cut = new AbortController();
    this.#wake = this.#cut;
    await pause(delay, this.#cut.signal, !onPurpose);
    // It was asked to stay away while it waited.
    for (let more; (more = this.#awayUntil - Date.now()) > 0; ) {
      this.#end.signal.throwIfAborted();
      this.#cut = new AbortController();
      await pause(more, this.#cut.signal);
    }
  }
}
