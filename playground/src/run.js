/**
 * One answer that is being generated: reads its stream, keeps what has come, and tells whoever shows it.
 * It goes on when its conversation is not shown, and after a reload from what was kept.
 *
 * @import { ConnectionState } from '../client/options.js'
 * @import { Event } from '../client/shapes.js'
 * @import { Tailrace } from '../client/index.js'
 * @import { Answer } from './model.js'
 * @import { Store } from './store.js'
 */

import { TailraceError } from '../client/index.js';
import { countToken } from './figures.js';

/** How often what has come is written down. */
const SAVE_MS = 250;

/** How long the end of an answer waits for having been written down. */
const SAVE_LIMIT_MS = 1000;

/** How long a connection stays cut when its reader asks for that. */
const CUT_MS = 1800;

/**
 * How the connection stands.
 *
 * @typedef {object} Link
 * @property {'connecting' | 'open' | 'waiting' | 'closed'} state
 * @property {number} [until] when it is tried again
 * @property {import('../client/index.js').TailraceError} [error] why it is being waited for
 */

export class Run {
  #client;
  #store;
  #leave = new AbortController();
  #stopped = false;
  #saving = 0;
  /** @type {import('../client/stream.js').TokenStream | undefined} */
  #stream;
  /** @type {Link} */
  link = { state: 'connecting' };
  /** The last event that had been generated when the connection was back. */
  #replayedTo = -1;
  /** What to do when there is something new to see. */
  onchange = () => {};

  /**
   * @param {Tailrace} client
   * @param {Store} store
   * @param {Answer} answer
   */
  constructor(client, store, answer) {
    this.#client = client;
    this.#store = store;
    this.answer = answer;
  }

  /** Reads to the end. Never fails: what went wrong is in the answer. */
  async finish() {
    const { answer } = this;
    try {
      this.#stream = this.#open();
      for await (const event of this.#stream) {
        if (event.type === 'done' && !(await isWhole(answer.text, event.text_sha256))) {
          throw new TailraceError('the text is not the one that was sent', { code: 'text_mismatch' });
        }
        this.#take(event);
      }
      if (answer.status === 'running') {
        answer.status = 'done';
        answer.finish = 'cancelled';
      }
    } catch (error) {
      if (this.#leave.signal.aborted) return;
      this.#fail(error);
    }
    this.link = { state: 'closed' };
    const limit = new Promise((resolve) => setTimeout(resolve, SAVE_LIMIT_MS));
    await Promise.race([this.#save(), limit]);
    this.onchange();
  }

  #open() {
    const { answer } = this;
    const options = {
      signal: this.#leave.signal,
      onConnection: (/** @type {ConnectionState} */ state) => this.#connection(state),
    };
    if (answer.stream === null) {
      return this.#client.stream(answer.request, { ...options, idempotencyKey: answer.key });
    }
    const cursor = answer.seq >= 0 ? `${answer.stream}.${answer.seq}` : answer.stream;
    return this.#client.follow(cursor, options);
  }

  /** @param {Event} event */
  #take(event) {
    const { answer } = this;
    const { figures } = answer;
    const now = performance.timeOrigin + performance.now();
    if (event.seq > answer.seq + 1) figures.lost += event.seq - answer.seq - 1;
    answer.seq = event.seq;
    switch (event.type) {
      case 'start':
        answer.stream = event.stream;
        answer.model = event.model;
        break;
      case 'token':
        this.#endThought(now);
        this.#count(event, now);
        answer.text += event.text;
        break;
      case 'reasoning':
        this.#count(event, now);
        answer.reasoning += event.text;
        break;
      case 'refusal':
        this.#endThought(now);
        answer.refusal += event.text;
        break;
      case 'tool_call': {
        this.#endThought(now);
        this.#count(event, now);
        const call = callOf(answer, event.index);
        if (event.name) call.name = event.name;
        call.arguments += event.arguments;
        break;
      }
      case 'done':
        this.#endThought(now);
        answer.status = 'done';
        answer.finish = event.finish_reason;
        break;
      case 'error': {
        const { code, message, retryable } = event.error;
        answer.status = 'failed';
        answer.trouble = { code, message, retryable, resumable: false };
        break;
      }
      default:
    }
    this.#saveSoon();
    this.onchange();
  }

  /**
   * @param {Event} event
   * @param {number} now
   */
  #count({ seq }, now) {
    const { figures } = this.answer;
    countToken(figures, now);
    if (seq <= this.#replayedTo) figures.replayed += 1;
  }

  /** @param {number} now */
  #endThought(now) {
    const { answer } = this;
    if (answer.reasoning === '' || answer.reasoningMs > 0) return;
    answer.reasoningMs = Math.max(1, now - answer.figures.started - (answer.figures.first ?? 0));
  }

  /** @param {ConnectionState} state */
  #connection({ state, retryInMs, error, resumedAfter, replayed }) {
    const { figures } = this.answer;
    if (state === 'waiting') {
      this.link = { state, until: Date.now() + (retryInMs ?? 0), ...(error && { error }) };
    } else if (state === 'connecting') {
      // The reason stays in sight until there is a connection again.
      if (this.link.state !== 'waiting') this.link = { state };
    } else {
      this.link = { state: state === 'closed' ? 'closed' : 'open' };
      if (resumedAfter !== undefined) {
        // A page that was reloaded comes back to its answer too.
        figures.resumes += 1;
        this.#replayedTo = Number(resumedAfter.split('.').at(-1)) + (replayed ?? 0);
      }
    }
    this.onchange();
  }

  /** @param {unknown} error */
  #fail(error) {
    const { answer } = this;
    if (answer.status !== 'running') return;
    if (this.#stopped && answer.stream === null) {
      answer.status = 'done';
      answer.finish = 'cancelled';
      return;
    }
    answer.status = 'failed';
    if (!(error instanceof TailraceError)) throw error;
    const { code, message, retryable, retryAfterMs, status } = error;
    // Whatever a proxy said meanwhile, the generation goes on at the server as long as it knows it.
    const gone = ['stream_not_found', 'stream_expired'].includes(code);
    answer.trouble = {
      code: status === undefined && retryable ? 'unreachable' : code,
      message,
      retryable,
      resumable: answer.stream === null ? beforeIt(status) : !gone,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  }

  /** Drops the connection as a broken network would. */
  cut() {
    this.#stream?.disconnect(CUT_MS);
  }

  /** Ends the generation. */
  async stop() {
    this.#stopped = true;
    try {
      await this.#stream?.cancel();
    } catch (error) {
      // It had ended, or the server is gone: either way there is nothing more to wait for.
      this.leave();
      this.#fail(error);
      this.link = { state: 'closed' };
      await this.#save();
      this.onchange();
    }
  }

  /** Reads no more; the generation goes on, and so can a later run. */
  leave() {
    clearTimeout(this.#saving);
    this.#leave.abort();
  }

  #saveSoon() {
    if (this.#saving) return;
    this.#saving = window.setTimeout(() => void this.#save(), SAVE_MS);
  }

  async #save() {
    clearTimeout(this.#saving);
    this.#saving = 0;
    await this.#store.putProgress(this.answer);
  }

  /** Writes down what has come, for a page that is being left. */
  keep() {
    if (this.answer.status === 'running') void this.#save();
  }
}

/**
 * Whether a request that failed with this status, before there was a stream, can be sent as it was.
 *
 * @param {number | undefined} status
 */
function beforeIt(status) {
  return status === undefined || [401, 403, 429, 503].includes(status);
}

/**
 * The call of a tool with this index, which a model chooses as it likes: calls stand in the order in
 * which they came.
 *
 * @param {Answer} answer
 * @param {number} index
 */
function callOf({ tools }, index) {
  // Answers that were kept before calls had an index have their place for it.
  let call = tools.find((call, at) => (call?.index ?? at) === index);
  if (!call) tools.push((call = { index, name: '', arguments: '' }));
  return call;
}

/**
 * Whether this text has the digest that the server says. The client has compared what it has read
 * itself, but after a reload the beginning came out of the storage. Pages of plain http origins cannot
 * tell.
 *
 * @param {string} text
 * @param {string} sha256 in hexadecimal
 */
async function isWhole(text, sha256) {
  if (!globalThis.crypto.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') === sha256;
}
