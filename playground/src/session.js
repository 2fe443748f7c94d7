/**
 * What is being done: the conversation that is shown, the answers that are on their way, and what their
 * reader asks for.
 *
 * @import { Tailrace } from '../client/index.js'
 * @import { Answer, Conversation, Message, Prompt } from './model.js'
 * @import { Store } from './store.js'
 */

import { announce } from './announce.js';
import { count, newFigures } from './figures.js';
import { Run } from './run.js';
import { newId } from './store.js';
import { noticeOf, waitingFor } from './words.js';

const LONGEST_TITLE = 80;

/**
 * What the session shows itself with.
 *
 * @typedef {object} Screen
 * @property {() => void} conversation another conversation is shown, or what it consists of has changed
 * @property {(answer: Answer) => void} answer there is more of an answer
 * @property {() => void} sent the reader has asked for something, and wants to see it
 */

/**
 * @typedef {object} Parameters
 * @property {string | undefined} model
 * @property {boolean} isDemo
 * @property {string} system
 * @property {(more: Record<string, string>) => Partial<import('../client/shapes.js').CreateStream>} fields
 */

export class Session {
  #client;
  #store;
  #parameters;
  #screen;
  /** Answers on their way, by their ids. @type {Map<string, Run>} */
  runs = new Map();
  /** The id of the conversation that is shown; null if it has not begun. @type {string | null} */
  current = null;
  /** @type {Message[]} */
  messages = [];
  title = '';

  /**
   * @param {Tailrace} client
   * @param {Store} store
   * @param {() => Parameters} parameters
   * @param {Screen} screen
   */
  constructor(client, store, parameters, screen) {
    this.#client = client;
    this.#store = store;
    this.#parameters = parameters;
    this.#screen = screen;
    store.onchange = (id) => void this.#changedElsewhere(id);
    window.addEventListener('pagehide', () => {
      for (const run of this.runs.values()) run.keep();
    });
  }

  /** The answer that is on its way in the conversation that is shown. */
  get running() {
    return this.messages.map(({ id }) => this.runs.get(id)).find(Boolean);
  }

  /** The conversations with an answer on its way. */
  get busy() {
    return new Set([...this.runs.values()].map(({ answer }) => answer.conversation));
  }

  /**
   * Shows a conversation, and goes on with what is unfinished in it.
   *
   * @param {string | null} id
   */
  async open(id) {
    const conversation = id === null ? undefined : await this.#store.conversation(id);
    this.current = conversation?.id ?? null;
    this.title = conversation?.title ?? '';
    await this.#load();
  }

  async #load() {
    const { current } = this;
    const kept = current === null ? [] : await this.#store.messages(current);
    // Another one was opened meanwhile.
    if (current !== this.current) return;
    this.messages = kept.map((message) => this.runs.get(message.id)?.answer ?? message);
    for (const message of this.messages) {
      if (message.role === 'assistant' && message.status === 'running') this.#run(message);
    }
    this.#screen.conversation();
  }

  /** @param {string} id */
  async #changedElsewhere(id) {
    if (id === this.current) await this.open(id);
    else this.#screen.conversation();
  }

  /**
   * Asks, in the conversation that is shown or in a new one.
   *
   * @param {string} text
   * @param {{ knobs?: Record<string, string>, instead?: Prompt | null }} [options] `instead` of a prompt
   *   that is there, and of everything after it
   */
  async send(text, { knobs = {}, instead } = {}) {
    if (this.running) return;
    const now = Date.now();
    const line = text.split('\n', 1)[0] ?? '';
    /** @type {Conversation} */
    const conversation = (this.current && (await this.#store.conversation(this.current))) || {
      id: newId(),
      title: line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1)}…` : line,
      created: now,
      updated: now,
    };
    if (instead) await this.#truncate(instead.at);
    this.current = conversation.id;
    this.title = conversation.title;
    /** @type {Prompt} */
    const prompt = {
      role: 'user',
      id: newId(),
      conversation: conversation.id,
      at: (this.messages.at(-1)?.at ?? -1) + 1,
      text,
    };
    this.messages.push(prompt);
    await this.#store.putConversation({ ...conversation, updated: now });
    await this.#store.putMessage(prompt);
    await this.#begin(knobs);
  }

  /**
   * Asks once more for an answer; what came after it goes too.
   *
   * @param {Answer} answer
   */
  async regenerate(answer) {
    if (this.running) return;
    await this.#truncate(answer.at);
    // The demonstration says the same to the same question, unless the seed is another.
    const { seed, metadata } = answer.request;
    const again = this.#parameters().isDemo ? { seed: (seed ?? 0) + 1 } : {};
    await this.#begin(metadata ?? {}, again);
  }

  /**
   * Goes on with an answer that did not come, or asks for it again.
   *
   * @param {Answer} answer
   */
  async retry(answer) {
    const waiting = this.runs.get(answer.id);
    if (!waiting && !answer.trouble?.resumable) return this.regenerate(answer);
    waiting?.leave();
    this.runs.delete(answer.id);
    answer.status = 'running';
    answer.trouble = null;
    await this.#store.putMessage(answer);
    this.#run(answer);
    this.#screen.conversation();
  }

  /**
   * Asks for an answer to what there is.
   *
   * @param {Record<string, string>} knobs
   * @param {{ seed?: number }} [over] over the parameters
   */
  async #begin(knobs, over = {}) {
    const { model, system, fields } = this.#parameters();
    const last = /** @type {Message} */ (this.messages.at(-1));
    /** @type {Answer} */
    const answer = {
      role: 'assistant',
      id: newId(),
      conversation: last.conversation,
      at: last.at + 1,
      status: 'running',
      request: {
        ...(model !== undefined && { model }),
        messages: [
          ...(system ? [{ role: /** @type {const} */ ('system'), content: system }] : []),
          ...this.messages
            .filter(({ text }) => text !== '')
            .map(({ role, text }) => ({ role, content: text })),
        ],
        ...fields(knobs),
        ...over,
        on_disconnect: 'continue',
      },
      key: newId(),
      model: model ?? 'model',
      stream: null,
      seq: -1,
      reasoning: '',
      reasoningMs: 0,
      text: '',
      refusal: '',
      tools: [],
      finish: null,
      trouble: null,
      figures: newFigures(performance.timeOrigin + performance.now()),
    };
    this.messages.push(answer);
    await this.#store.putMessage(answer);
    this.#run(answer);
    this.#screen.conversation();
    this.#screen.sent();
  }

  /** @param {number} from the place of the first message that goes */
  async #truncate(from) {
    for (const message of this.messages.filter(({ at }) => at >= from)) {
      this.runs.get(message.id)?.leave();
      this.runs.delete(message.id);
    }
    this.messages = this.messages.filter(({ at }) => at < from);
    if (this.current !== null) await this.#store.deleteMessages(this.current, from);
  }

  /** @param {Answer} answer */
  #run(answer) {
    if (this.runs.has(answer.id)) return;
    const run = new Run(this.#client, this.#store, answer);
    this.runs.set(answer.id, run);
    let { state } = run.link;
    run.onchange = () => {
      if (run.link.state !== state) this.#announceLink(run, state);
      state = run.link.state;
      this.#screen.answer(answer);
    };
    void run.finish().finally(() => {
      if (this.runs.get(answer.id) !== run) return;
      this.runs.delete(answer.id);
      this.#announceEnd(answer);
      this.#screen.conversation();
    });
  }

  /**
   * @param {Run} run
   * @param {string} before
   */
  #announceLink({ link, answer }, before) {
    if (answer.conversation !== this.current) return;
    if (link.state === 'waiting') announce(`${waitingFor(link.error)}. It is tried again by itself.`);
    else if (link.state === 'open' && before === 'waiting') announce('Connected again.');
  }

  /** @param {Answer} answer */
  #announceEnd({ conversation, status, trouble, finish, figures }) {
    if (conversation !== this.current) return;
    if (status === 'failed' && trouble) {
      const { title, text } = noticeOf(trouble);
      announce(`${title}. ${text}`);
    } else if (finish === 'cancelled') announce('Stopped.');
    else announce(`Answer complete, ${count(figures.tokens, 'token')}.`);
  }

  /**
   * A conversation is being deleted.
   *
   * @param {string} id
   */
  forget(id) {
    for (const [answer, run] of this.runs) {
      if (run.answer.conversation !== id) continue;
      this.runs.delete(answer);
      void run.stop();
    }
  }
}
