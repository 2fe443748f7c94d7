/**
 * The client: one server and one caller, and a method for each thing that can be asked.
 *
 * @import { CreateStream, ModelList, StreamList, StreamSnapshot, Ticket } from './shapes.js'
 * @import { CallOptions, FollowOptions, ListOptions, StreamOptions, StreamRequest, TailraceOptions } from './options.js'
 * @import { Source } from './reading.js'
 * @import { Read } from './shared.js'
 */

import { failureOf, TailraceError } from './error.js';
import { EventSourceReading } from './eventsource.js';
import { Http } from './http.js';
import { Reading } from './reading.js';
import { pause, policyOf, retryDelay } from './retry.js';
import { canShare, scopeOf } from './channel.js';
import { SharedReading } from './shared.js';
import { TokenStream } from './stream.js';
import { heard } from './transport.js';

/** How often a call that is no stream is tried. Each of them may be repeated. */
const CALL_ATTEMPTS = 3;

export class Tailrace {
  #http;
  #policy;
  #share;

  /** @param {TailraceOptions} [options] */
  constructor({ baseUrl = '', token, fetch, credentials, share = false, retry } = {}) {
    this.#http = new Http(baseUrl, token, fetch, credentials);
    this.#policy = policyOf(retry);
    this.#share = share;
  }

  /**
   * Starts a generation, when its first event is asked for.
   *
   * @param {CreateStream} request
   * @param {StreamOptions} [options]
   */
  stream(request, options = {}) {
    const key = options.idempotencyKey ?? randomKey();
    return this.#read({ request, key }, options);
  }

  /**
   * Follows a generation that exists: all of it, or what comes after a cursor.
   *
   * @param {string} idOrCursor a stream's id, or the id of an event of it
   * @param {FollowOptions} [options]
   */
  follow(idOrCursor, options = {}) {
    return this.#read(sourceOf(idOrCursor), options);
  }

  /**
   * The whole text of a new generation.
   *
   * @param {CreateStream} request
   * @param {StreamOptions} [options]
   * @throws {TailraceError} it failed
   */
  async text(request, options) {
    let text = '';
    for await (const event of this.stream(request, options)) {
      if (event.type === 'token') text += event.text;
      if (event.type === 'error') throw failureOf(event);
    }
    return text;
  }

  /**
   * Ends a generation.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<StreamSnapshot>}
   */
  cancel(id, options) {
    return this.#call('POST', `${pathOf(id)}/cancel`, options);
  }

  /**
   * A stream as it stands, with its text so far.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<StreamSnapshot>}
   */
  snapshot(id, options) {
    return this.#call('GET', pathOf(id), options);
  }

  /**
   * The caller's streams, newest first.
   *
   * @param {ListOptions & CallOptions} [options]
   * @returns {Promise<StreamList>}
   */
  list({ signal, ...filter } = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filter)) {
      if (value !== undefined) query.set(name, String(value));
    }
    return this.#call('GET', `/v1/streams?${query}`, { signal });
  }

  /**
   * Cancels a generation and erases what is kept of it.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  delete(id, options) {
    return this.#call('DELETE', pathOf(id), options);
  }

  /**
   * The models that there are.
   *
   * @param {CallOptions} [options]
   * @returns {Promise<ModelList>}
   */
  models(options) {
    return this.#call('GET', '/v1/models', options);
  }

  /**
   * A credential that reads this one stream, for URLs.
   *
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Ticket>}
   */
  ticket(id, options) {
    return this.#call('POST', `${pathOf(id)}/tickets`, options);
  }

  /**
   * Follows a generation with the browser's own `EventSource`, which shows in its developer tools;
   * tickets are made as they are needed. It cannot see heartbeats: `follow` notices a dead
   * connection sooner.
   *
   * @param {string} idOrCursor
   * @param {FollowOptions} [options] `share` has no meaning here
   */
  eventSource(idOrCursor, options = {}) {
    const calls = {
      ticket: this.#http.hasToken
        ? (/** @type {string} */ id) => this.ticket(id, options)
        : undefined,
      snapshot: (/** @type {string} */ id) => this.snapshot(id, options),
      url: (/** @type {string} */ path) => this.#http.baseUrl + path,
      withCredentials: this.#http.credentials === 'include',
    };
    const source = sourceOf(idOrCursor);
    return new TokenStream(
      (report) => new EventSourceReading(calls, this.#policy, source, report),
      (id) => this.cancel(id),
      options,
    );
  }

  /**
   * @param {Source} source
   * @param {FollowOptions} options
   */
  #read(source, options) {
    const share = (options.share ?? this.#share) && canShare();
    /** @type {Read} */
    const read = (source, report, gate) => {
      return new Reading(this.#http, this.#policy, source, report, gate);
    };
    return new TokenStream(
      (report) => {
        if (!share) return read(source, report);
        const scope = scopeOf(this.#http.baseUrl);
        return new SharedReading(scope, source, read, report, this.#policy.silenceMs);
      },
      (id) => this.cancel(id),
      options,
    );
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ signal?: AbortSignal | undefined }} [options]
   * @returns {Promise<any>}
   */
  async #call(method, path, { signal } = {}) {
    const policy = { ...this.#policy, attempts: Math.min(this.#policy.attempts, CALL_ATTEMPTS - 1) };
    const stop = new AbortController();
    /** Ends the attempt of now: it is what silence aborts. */
    let cut = stop;
    const forward = () => {
      stop.abort(signal?.reason);
      cut.abort(signal?.reason);
    };
    /** @type {<T>(what: Promise<T>) => Promise<T>} */
    const watch = (what) => heard(what, policy.silenceMs, cut);
    signal?.addEventListener('abort', forward);
    if (signal?.aborted) forward();
    try {
      for (let attempt = 1; ; attempt += 1) {
        stop.signal.throwIfAborted();
        cut = new AbortController();
        try {
          const response = await this.#http.send(method, path, { signal: cut.signal, watch });
          return response.status === 204 ? undefined : await watch(response.json());
        } catch (cause) {
          stop.signal.throwIfAborted();
          const error = cut.signal.aborted ? cut.signal.reason : cause;
          if (!(error instanceof TailraceError)) throw error;
          // What an attempt whose answer was lost has erased is gone.
          if (method === 'DELETE' && attempt > 1 && error.status === 404) return undefined;
          const delay = retryDelay(policy, attempt, error);
          if (delay === undefined) throw error;
          await pause(delay, stop.signal, true);
        }
      }
    } finally {
      signal?.removeEventListener('abort', forward);
    }
  }
}

/**
 * The short form: a client for one stream.
 *
 * @param {StreamRequest} request
 * @param {StreamOptions} [options]
 */
export function stream({ baseUrl, token, fetch, credentials, share, retry, ...request }, options) {
  return new Tailrace({ baseUrl, token, fetch, credentials, share, retry }).stream(request, options);
}

/** @param {string} id */
function pathOf(id) {
  return `/v1/streams/${encodeURIComponent(id)}`;
}

/** @param {string} idOrCursor */
function sourceOf(idOrCursor) {
  const cursor = /^(.+)\.(\d+)$/.exec(idOrCursor);
  return cursor
    ? { id: cursor[1] ?? '', after: Number(cursor[2]) }
    : { id: idOrCursor, after: -1 };
}

/** A key that nobody else makes. Pages of plain http origins have no `randomUUID`. */
function randomKey() {
  if (globalThis.crypto.randomUUID) return globalThis.crypto.randomUUID();
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
