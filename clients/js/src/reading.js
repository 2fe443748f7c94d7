/**
 * One stream read over as many connections as it takes: the only place that decides what to do
 * about a failure. It answers with batches of events, each event once and in order.
 *
 * @import { CreateStream, Event } from './shapes.js'
 * @import { Http } from './http.js'
 * @import { ConnectionState } from './options.js'
 * @import { RetryPolicy } from './retry.js'
 * @import { Opening } from './transport.js'
 */

import { broken, TailraceError } from './error.js';
import { Progress } from './progress.js';
import { begin, readPage } from './paging.js';
import { isOffline, pause, retryDelay, unless } from './retry.js';
import { openEvents } from './transport.js';

/**
 * What is read: a new generation, or one that exists, after what has been seen of it.
 *
 * @typedef {{ request: CreateStream, key: string } | { id: string, after: number }} Source
 */

/** @typedef {{ enter: () => Promise<boolean> }} Gate */

/** How long to wait for the next page. */
const POLL_MS = 500;

/** The same, after one that was empty. */
const QUIET_POLL_MS = 1500;

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
  /** An attempt was made whose fate is not known, so that there may be a generation. */
  #mayHaveBegun = false;
  #hastened = false;
  /** It waits for its next attempt. */
  #waits = false;
  #baseMs;
  #gate;
  /** @type {(id: string) => void} */
  #foundId = () => {};
  /** @type {(error: unknown) => void} */
  #failedId = () => {};

  /**
   * @param {Http} http
   * @param {RetryPolicy} policy
   * @param {Source} source
   * @param {(state: ConnectionState) => void} report
   * @param {Gate} [gate] says whether a connection may stay open; absent: it may
   */
  constructor(http, policy, source, report, gate) {
    this.#http = http;
    this.#policy = policy;
    this.#report = report;
    this.#source = source;
    this.#baseMs = policy.baseMs;
    this.#gate = gate;
    this.progress = 'id' in source ? new Progress(source.id, source.after) : new Progress();
    this.identified = this.#identification();
    if (this.progress.id) this.#foundId(this.progress.id);
  }

  /** Settles when it is known which stream this is, or that it will never be. */
  #identification() {
    /** @type {Promise<string>} */
    const identified = new Promise((resolve, reject) => {
      this.#foundId = resolve;
      this.#failedId = reject;
    });
    identified.catch(() => {});
    return identified;
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
    this.#hastened = true;
    if (this.#waits && !this.#mayHaveBegun) this.stop(NEVER_BEGAN);
    else if (this.#waits) this.#cut.abort();
  }

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
    const cut = new AbortController();
    this.#cut = cut;
    this.#attempt += 1;
    try {
      const streams = !this.#gate || (await unless(cut.signal, this.#gate.enter()));
      return yield* streams ? this.#stream(cut) : this.#pages(cut);
    } catch (error) {
      this.#end.signal.throwIfAborted();
      // What cut it says why, whatever the reader made of that.
      const cause = cut.signal.aborted ? cut.signal.reason : error;
      if (!(cause instanceof TailraceError)) throw cause;
      // Of other answers nobody knows whether a generation has begun before they were given.
      const { status = 500 } = cause;
      if (status >= 500 && status !== 503) this.#mayHaveBegun = true;
      return cause;
    } finally {
      if (!this.progress.over) cut.abort(broken('closed', 'the connection is no longer needed'));
    }
  }

  /**
   * @param {AbortController} cut
   * @returns {AsyncGenerator<Event[], TailraceError | undefined, undefined>}
   */
  async *#stream(cut) {
    const resumedAfter = this.progress.lastEventId;
    this.#report({ state: 'connecting', attempt: this.#attempt });
    const events = await openEvents(this.#http, this.#opening(), cut, this.#policy.silenceMs);
    if (!events) return undefined;
    if (events.id) this.#identify(events.id);
    const replayed = events.tail === undefined ? undefined : Math.max(0, events.tail - this.progress.seq);
    const resumed = resumedAfter && { resumedAfter, ...(replayed !== undefined && { replayed }) };
    this.#report({ state: 'open', attempt: this.#attempt, ...resumed });
    for (;;) {
      if (this.progress.over) {
        // What ends this reading is no longer meant for that connection.
        this.#cut = new AbortController();
        events.finish();
        return undefined;
      }
      const messages = await events.next();
      if (!messages) throw broken('incomplete', 'the connection ended before the stream did');
      this.#baseMs = events.retryMs ?? this.#baseMs;
      const batch = this.progress.take(messages);
      const again = await this.#settle(batch);
      if (again) return again;
      yield batch;
      if (this.progress.fault) throw this.progress.fault;
    }
  }

  /**
   * The same without a connection that stays open, until one may be.
   *
   * @param {AbortController} cut
   * @returns {AsyncGenerator<Event[], TailraceError | undefined, undefined>}
   */
  async *#pages(cut) {
    const { silenceMs } = this.#policy;
    this.#report({ state: 'polling', attempt: this.#attempt });
    const opening = this.#opening();
    if ('request' in opening) this.#identify(await begin(this.#http, opening, cut, silenceMs));
    for (;;) {
      const { id = '', lastEventId } = this.progress;
      const page = await readPage(this.#http, { id, lastEventId }, cut, silenceMs);
      const batch = this.progress.accept(page.events);
      const again = await this.#settle(batch);
      if (again) return again;
      yield batch;
      if (this.progress.fault) throw this.progress.fault;
      if (this.progress.over || (page.closed && page.events.length === 0)) return undefined;
      if (this.#gate && (await unless(cut.signal, this.#gate.enter()))) {
        return yield* this.#stream(cut);
      }
      await pause(batch.length > 0 ? POLL_MS : QUIET_POLL_MS, cut.signal);
      cut.signal.throwIfAborted();
    }
  }

  /** @returns {Opening} */
  #opening() {
    const { id, lastEventId } = this.progress;
    if (id !== undefined) return { id, lastEventId };
    return 'request' in this.#source ? this.#source : { id: this.#source.id, lastEventId };
  }

  /**
   * What follows from events before anybody sees them. Answers with why the request is to be sent
   * again, if it is.
   *
   * @param {Event[]} batch
   */
  async #settle(batch) {
    const { progress } = this;
    if (progress.id) this.#identify(progress.id);
    if (batch.length > 0) this.#attempt = 1;
    const again = this.#mayRegenerate(batch);
    if (again) return again;
    if (progress.over) await progress.verify();
    return undefined;
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
    this.identified = this.#identification();
    this.#mayHaveBegun = false;
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
    const { attempts } = this.#policy;
    // While there is no network, attempts fail for certain; they are made, but do not count. Who
    // wants no second attempt wants none of those either.
    if (isOffline() && attempts > 0) this.#attempt = Math.min(this.#attempt, attempts);
    const delay = onPurpose
      ? Math.max(0, away)
      : retryDelay(this.#policy, this.#attempt, failure, this.#baseMs);
    if (delay === undefined) throw failure;
    if (this.#hastened && !this.progress.id && !this.#mayHaveBegun) throw NEVER_BEGAN;
    this.#report({ state: 'waiting', attempt: this.#attempt, retryInMs: delay, error: failure });
    this.#waits = true;
    this.#cut = new AbortController();
    await pause(delay, this.#cut.signal, !onPurpose);
    // It was asked to stay away while it waited.
    for (let more; (more = this.#awayUntil - Date.now()) > 0; ) {
      this.#end.signal.throwIfAborted();
      this.#cut = new AbortController();
      await pause(more, this.#cut.signal);
    }
    this.#waits = false;
  }
}
