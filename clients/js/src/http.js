/**
 * Requests: where they go, whose they are, and what an answer that is none becomes. It does not
 * retry, but for asking again once for a token that has expired.
 *
 * @import { Sending, TokenSource } from './options.js'
 */

import { broken, refusal, TailraceError } from './error.js';
import { unless } from './retry.js';

export class Http {
  #fetch;
  /** Whether the address is one that can be asked. */
  #checked;
  #source;
  /** @type {Promise<string> | undefined} */
  #token;
  /** Those that the source has not given yet. @type {WeakSet<Promise<string>>} */
  #pending = new WeakSet();

  /**
   * @param {string} baseUrl
   * @param {TokenSource | undefined} source
   * @param {typeof fetch | undefined} fetch
   * @param {RequestCredentials | undefined} credentials
   */
  constructor(baseUrl, source, fetch, credentials) {
    this.baseUrl = String(baseUrl).replace(/\/+$/, '');
    this.#source = source;
    // A function of the caller's may know what to make of any address.
    this.#checked = fetch !== undefined;
    // Looked up at each call, for a page may wrap it later, and called as a function of its own.
    this.#fetch = fetch ?? ((input, init) => globalThis.fetch(input, init));
    /** Whether requests have a token; otherwise cookies may say who calls. */
    this.hasToken = source !== undefined;
    this.credentials = credentials;
  }

  /**
   * Sends a request and answers with its response, whose status is a good one.
   *
   * @param {string} method
   * @param {string} path
   * @param {Sending} [sending]
   * @returns {Promise<Response>}
   * @throws {TailraceError}
   */
  async send(method, path, sending = {}) {
    this.#check();
    // Only the server is watched: whoever gives the token may have a person to ask.
    const { signal, watch = (what) => what } = sending;
    const token = this.#token ?? this.#ask();
    const given = await this.#wait(token, signal);
    let response = await watch(this.#request(method, path, sending, given));
    if (response.status === 401 && typeof this.#source === 'function') {
      // Several requests may find out together: one of them asks.
      if (this.#token === token) this.#ask();
      const fresh = await this.#wait(this.#token ?? this.#ask(), signal);
      if (fresh !== given) {
        void response.body?.cancel().catch(() => {});
        response = await watch(this.#request(method, path, sending, fresh));
      }
    }
    if (!response.ok) throw await watch(refusal(response));
    return response;
  }

  /**
   * That no server is meant is known before it is asked, and trying again would not mend it.
   *
   * @throws {TailraceError}
   */
  #check() {
    if (this.#checked) return;
    const page = globalThis.location?.href;
    const wanted = this.baseUrl === '' && !page ? 'it is needed outside of a browser' : `it is "${this.baseUrl}"`;
    const url = URL.canParse(`${this.baseUrl}/`, page) ? new URL(`${this.baseUrl}/`, page) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw new TailraceError(`baseUrl must be the http or https address of a server; ${wanted}`, {
        code: 'invalid_base_url',
      });
    }
    this.#checked = true;
  }

  /**
   * Waits for a token. If that is given up, the token is no longer expected: it may never come, and the
   * next request asks again.
   *
   * @param {Promise<string>} token
   * @param {AbortSignal | undefined} signal
   */
  async #wait(token, signal) {
    try {
      return await unless(signal, token);
    } finally {
      if (this.#token === token && this.#pending.has(token)) this.#token = undefined;
    }
  }

  /** Asks for a token, once for all who need one now. */
  #ask() {
    const source = this.#source;
    const asking = (async () => (typeof source === 'function' ? await source() : (source ?? '')))();
    const token = asking
      .catch((cause) => {
        // What failed is not kept: the next request asks again.
        if (this.#token === token) this.#token = undefined;
        if (cause instanceof TailraceError) throw cause;
        throw broken('token_failed', 'the token could not be had', cause);
      })
      .finally(() => this.#pending.delete(token));
    this.#pending.add(token);
    this.#token = token;
    return token;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Sending} sending
   * @param {string} token
   */
  async #request(method, path, { accept, body, headers, signal }, token) {
    /** @type {RequestInit} */
    const init = {
      method,
      headers: {
        Accept: accept ?? 'application/json',
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...headers,
      },
      // Otherwise Chromium lets the second of two readers of one address wait for the first.
      cache: 'no-store',
    };
    if (body !== undefined) init.body = body;
    if (signal) init.signal = signal;
    if (this.credentials) init.credentials = this.credentials;
    try {
      return await this.#fetch(this.baseUrl + path, init);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw broken('network_error', 'the server could not be reached', cause);
    }
  }
}
