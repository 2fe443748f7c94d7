/**
 * What is being done: the conversation that is shown, the answers that are on their way, and what their
 * reader asks for.
 *
 * @import { Tailrace } from '../client/index.js'
 * @import { Parameters } from './asking.js'
 * @import { Answer, Conversation, Message, Prompt } from './model.js'
 * @import { Store } from './store.js'
 */

import { announce } from './announce.js';
import { newAnswer, readAnew } from './asking.js';
import { count } from './figures.js';
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
  /** The one that is shown. @type {Conversation | undefined} */
  #conversation;
  /** The id of the one that is to be shown, which may still be read. @type {string | null} */
  #wanted = null;
  /** How often the reader has done something: what was read before that is old. */
  #turn = 0;

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
    this.#wanted = id;
    this.#turn += 1;
    await this.#load(id);
  }

  /** @param {string | null} id */
  async #load(id) {
    for (;;) {
      const turn = this.#turn;
      const [conversation, kept] =
        id === null ? [] : await Promise.all([this.#store.conversation(id), this.#store.messages(id)]);
      // The reader has chosen another one meanwhile.
      if (this.#wanted !== id) return;
      // Something was asked here meanwhile, which is not in what was read.
      if (turn !== this.#turn) continue;
      this.#show(conversation, kept ?? []);
      return;
    }
  }

  /**
   * @param {Conversation | undefined} conversation
   * @param {Message[]} kept
   */
  #show(conversation, kept) {
    this.#conversation = conversation;
    this.#wanted = this.current = conversation?.id ?? null;
    this.title = conversation?.title ?? '';
    this.messages = conversation ? kept.map((message) => this.runs.get(message.id)?.answer ?? message) : [];
    for (const message of this.messages) {
      if (message.role === 'assistant' && message.status === 'running') this.#run(message);
    }
    this.#screen.conversation();
  }

  /** @param {string} id */
  async #changedElsewhere(id) {
    if (id === this.#wanted) await this.#load(id);
    else this.#screen.conversation();
  }

  /**
   * Asks, in the conversation that is shown or in a new one. Everything is there at once and the request
   * is on its way when this returns, so that a second click finds an answer running; writing it down
   * takes its own time.
   *
   * @param {string} text
   * @param {{ knobs?: Record<string, string>, instead?: Prompt | null }} [options] `instead` of a prompt
   *   that is there, and of everything after it
   * @returns {boolean} whether it was asked
   */
  send(text, { knobs = {}, instead } = {}) {
    if (this.running) return false;
    const now = Date.now();
    const line = text.split('\n', 1)[0] ?? '';
    /** @type {Conversation} */
    const conversation = this.#conversation ?? {
      id: newId(),
      title: line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1)}…` : line,
      created: now,
      updated: now,
    };
    if (instead) this.#truncate(instead.at);
    this.#conversation = { ...conversation, updated: now };
    this.#wanted = this.current = conversation.id;
    this.#turn += 1;
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
    void this.#store.putConversation(this.#conversation);
    void this.#store.putMessage(prompt);
    this.#begin(conversation.id, this.messages, knobs);
    return true;
  }

  /**
   * Asks once more for an answer; what came after it goes too.
   *
   * @param {Answer} answer
   */
  regenerate(answer) {
    if (this.running || !this.messages.includes(answer)) return;
    this.#truncate(answer.at);
    this.#turn += 1;
    // The demonstration says the same to the same question, unless the seed is another.
    const { seed, metadata } = answer.request;
    const again = this.#parameters().isDemo ? { seed: (seed ?? 0) + 1 } : {};
    this.#begin(answer.conversation, this.messages, metadata ?? {}, again);
  }

  /**
   * Goes on with an answer that did not come, or asks for it again.
   *
   * @param {Answer} answer
   */
  retry(answer) {
    const run = this.runs.get(answer.id);
    // A second click finds it being tried already.
    if (run ? run.link.state !== 'waiting' : !answer.trouble) return;
    if (!run && (this.running || !answer.trouble?.resumable)) return this.regenerate(answer);
    run?.leave();
    this.runs.delete(answer.id);
    this.#turn += 1;
    // What is wrong is somewhere before the end: going on after it would not mend it.
    if (answer.trouble?.code === 'text_mismatch') readAnew(answer);
    answer.status = 'running';
    answer.trouble = null;
    void this.#store.putMessage(answer);
    this.#run(answer);
    this.#screen.conversation();
  }

  /**
   * Asks for an answer to what there is.
   *
   * @param {string} conversation
   * @param {Message[]} messages its messages so far, which the answer joins
   * @param {Record<string, string>} knobs
   * @param {{ seed?: number }} [over] over the parameters
   */
  #begin(conversation, messages, knobs, over = {}) {
    const answer = newAnswer(conversation, messages, this.#parameters(), knobs, over);
    messages.push(answer);
    void this.#store.putMessage(answer);
    this.#run(answer);
    this.#screen.conversation();
    this.#screen.sent();
  }

  /** @param {number} from the place of the first message that goes */
  #truncate(from) {
    const late = this.messages.filter(({ at }) => at >= from);
    for (const { id } of late) {
      this.runs.get(id)?.leave();
      this.runs.delete(id);
    }
    this.messages = this.messages.filter(({ at }) => at < from);
    void this.#store.deleteMessages(late);
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
