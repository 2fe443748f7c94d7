/**
 * One connection that carries events: from the request to a list of messages at a time. It watches
 * for silence, and retries nothing.
 *
 * @import { CreateStream } from './shapes.js'
 * @import { Http } from './http.js'
 * @import { Message } from './parser.js'
 */

import { broken } from './error.js';
import { EventStreamParser } from './parser.js';

/** The slowest upload that is waited for: a long conversation may hold images. */
const UPLOAD_BYTES_PER_MS = 16;

/** How long the end of a complete answer is waited for, so that its connection can be used again. */
const FINISH_MS = 1000;

/**
 * What is asked for: a new generation, or one that exists, after an event of it.
 *
 * @typedef {{ request: CreateStream, key: string } | { id: string, lastEventId: string | undefined }} Opening
 */

/**
 * Asks for events, in one form or another.
 *
 * @param {Http} http
 * @param {Opening} opening
 * @param {string} accept
 * @param {AbortController} cut ends it; it is what silence aborts
 * @param {number} silenceMs
 * @param {Record<string, string>} [headers]
 */
export function ask(http, opening, accept, cut, silenceMs, headers = {}) {
  const { signal } = cut;
  let patienceMs = silenceMs;
  /** @type {<T>(what: Promise<T>) => Promise<T>} */
  const watch = (what) => heard(what, patienceMs, cut);
  if ('request' in opening) {
    const body = JSON.stringify(opening.request);
    patienceMs += body.length / UPLOAD_BYTES_PER_MS;
    const all = { 'Idempotency-Key': opening.key, ...headers };
    return http.send('POST', '/v1/streams', { accept, body, headers: all, signal, watch });
  }
  const { id, lastEventId } = opening;
  const cursor = lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId };
  const path = `/v1/streams/${encodeURIComponent(id)}/events`;
  return http.send('GET', path, { accept, headers: { ...cursor }, signal, watch });
}

/**
 * Asks for events as they come. Answers with nothing if there are none left.
 *
 * @param {Http} http
 * @param {Opening} opening
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
export async function openEvents(http, opening, cut, silenceMs) {
  const accept = 'text/event-stream';
  const response = await ask(http, opening, accept, cut, silenceMs);
  if (response.status === 204) return undefined;
  const type = response.headers.get('content-type') ?? '';
  if (!response.body || !type.startsWith(accept)) {
    throw broken('invalid_response', `the answer is no event stream but ${type || 'nothing'}`);
  }
  return new EventConnection(response, response.body, cut, silenceMs);
}

class EventConnection {
  #parser = new EventStreamParser();
  #reader;
  #cut;
  #silenceMs;
  /** @type {ReturnType<ReadableStreamDefaultReader<Uint8Array>['read']> | undefined} */
  #reading;

  /**
   * @param {Response} response
   * @param {ReadableStream<Uint8Array>} body
   * @param {AbortController} cut
   * @param {number} silenceMs
   */
  constructor(response, body, cut, silenceMs) {
    this.#reader = body.getReader();
    this.#cut = cut;
    this.#silenceMs = silenceMs;
    const location = response.headers.get('location')?.split('/').at(-1);
    /** The stream's id, if the headers say it. */
    this.id = response.headers.get('x-stream-id') ?? location;
    const tail = response.headers.get('tailrace-tail');
    /** Which event was the last that was there already, if the headers say it. */
    this.tail = tail === null ? undefined : Number(tail);
  }

  /** What the stream said of how long to wait before reconnecting. */
  get retryMs() {
    return this.#parser.retryMs;
  }

  /**
   * The next messages, perhaps none (a comment, or a part of one); nothing at the end.
   *
   * @returns {Promise<Message[] | undefined>}
   */
  async next() {
    const reading = this.#read();
    let result;
    try {
      result = await heard(reading, this.#silenceMs, this.#cut);
    } catch (cause) {
      if (this.#cut.signal.aborted) throw this.#cut.signal.reason;
      throw broken('connection_lost', 'the connection broke', cause);
    }
    this.#reading = undefined;
    return result.done ? undefined : this.#parser.push(result.value);
  }

  #read() {
    if (!this.#reading) {
      this.#reading = this.#reader.read();
      // Whoever is no longer interested need not hear of its failure.
      this.#reading.catch(() => {});
    }
    return this.#reading;
  }

  /** Lets a complete answer end, in the background. */
  finish() {
    const timer = setTimeout(() => this.#cut.abort(), FINISH_MS);
    const end = () => clearTimeout(timer);
    this.#read().then(end, end);
  }
}

/**
 * Waits for something from the server; if that takes longer than this, the connection is dead.
 *
 * @template T
 * @param {Promise<T>} what
 * @param {number} milliseconds
 * @param {AbortController} cut
 */
export async function heard(what, milliseconds, cut) {
  if (!(milliseconds < 2 ** 31)) return what;
  const timer = setTimeout(() => {
    cut.abort(broken('silent', `nothing came for ${milliseconds} ms`));
  }, milliseconds);
  try {
    return await what;
  } finally {
    clearTimeout(timer);
  }
}
