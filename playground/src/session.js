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
import { isEmpty, newAnswer, placeAfter, readAnew } from './asking.js';
import { placed, placeOf, shownOf, versionsOf } from './branches.js';
import { Run } from './run.js';
import { newId } from './store.js';
import { endWords, linkWords } from './words.js';

const LONGEST_TITLE = 80;

/**
 * What the session shows itself with.
 *
 * @typedef {object} Screen
 * @property {() => void} conversation another conversation is shown, or what it consists of has changed
 * @property {(answer: Answer) => void} answer there is more of an answer
 * @property {() => void} sent the reader has asked for something, and wants to see it
 * @property {(answer: Answer) => void} ended the answer that was on its way where the reader is has ended
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
  /** Those that are shown. @type {Message[]} */
  messages = [];
  /** All of the conversation, in the order in which they were made. @type {Message[]} */
  #all = [];
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
    this.#all = conversation ? placed(kept).map((message) => this.#atWork(message)) : [];
    this.messages = shownOf(this.#all);
    for (const message of this.#all) {
      if (message.role === 'assistant' && message.status === 'running') this.#run(message);
    }
    this.#screen.conversation();
  }

  /**
   * The message that is being written, where this one is a copy of it.
   *
   * @param {Message} message
   */
  #atWork(message) {
    const answer = this.runs.get(message.id)?.answer;
    return answer ? Object.assign(answer, placeOf(message)) : message;
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
   *   that is there, which stays as an earlier version
   * @returns {boolean} whether it was asked; not, if the prompt that it is instead of is not shown
   */
  send(text, { knobs = {}, instead } = {}) {
    if (this.running) return false;
    // By its id: what is read anew consists of other objects.
    const at = instead ? this.messages.findIndex(({ id }) => id === instead.id) : this.messages.length;
    if (at < 0) return false;
    const before = this.messages.slice(0, at);
    const now = Date.now();
    const line = text.split('\n', 1)[0] ?? '';
    /** @type {Conversation} */
    const conversation = this.#conversation ?? {
      id: newId(),
      title: line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1)}…` : line,
      created: now,
      updated: now,
    };
    this.#conversation = { ...conversation, updated: now };
    this.#wanted = this.current = conversation.id;
    this.title = conversation.title;
    /** @type {Prompt} */
    const prompt = {
      role: 'user',
      id: newId(),
      conversation: conversation.id,
      text,
      ...placeAfter(before.at(-1)),
    };
    void this.#store.putConversation(this.#conversation);
    this.#begin(conversation.id, before, knobs, { prompt, isVersion: Boolean(instead) });
    return true;
  }

  /**
   * Asks once more for an answer. The one that is there stays as an earlier version, if it says anything.
   *
   * @param {Answer} answer
   */
  regenerate(answer) {
    const at = this.messages.indexOf(answer);
    if (this.running || at < 0) return;
    if (isEmpty(answer) && !this.#all.some(({ parent }) => parent === answer.id)) {
      this.#all = this.#all.filter((message) => message !== answer);
      void this.#store.deleteMessages([answer]);
    }
    // The demonstration says the same to the same question, unless the seed is another.
    const { seed, metadata } = answer.request;
    const over = this.#parameters().isDemo ? { seed: (seed ?? 0) + 1 } : {};
    this.#begin(answer.conversation, this.messages.slice(0, at), metadata ?? {}, { over });
  }

  /** @param {Message} message the versions of it, itself among them, in their order */
  versions(message) {
    return versionsOf(this.#all, message);
  }

  /**
   * Shows this version of a message, and what came after it.
   *
   * @param {Message} message
   */
  choose(message) {
    const others = this.versions(message).map(({ chosen = 0 }) => chosen);
    message.chosen = Math.max(Date.now(), Math.max(...others) + 1);
    this.#turn += 1;
    this.messages = shownOf(this.#all);
    void this.#store.putChoice(message);
    this.#screen.conversation();
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
   * @param {Message[]} before the messages that it comes after
   * @param {Record<string, string>} knobs
   * @param {object} more
   * @param {Prompt} [more.prompt] a new one
   * @param {boolean} [more.isVersion] whether the prompt stands beside others on purpose
   * @param {{ seed?: number }} [more.over] over the parameters
   */
  #begin(conversation, before, knobs, { prompt, isVersion, over = {} }) {
    const asked = prompt ? [...before, prompt] : before;
    const answer = newAnswer(conversation, asked, this.#parameters(), knobs, over);
    const added = prompt ? [prompt, answer] : [answer];
    this.#turn += 1;
    this.#all.push(...added);
    this.messages = [...asked, answer];
    void this.#store.addMessages(added, (kept) => {
      if (!prompt || isVersion) return;
      // What another tab has asked meanwhile was first: this comes after it.
      const last = shownOf(placed(kept), prompt.parent).at(-1);
      if (!last) return;
      prompt.parent = last.id;
      void this.#load(conversation);
    });
    this.#run(answer);
    this.#screen.conversation();
    this.#screen.sent();
  }

  /** @param {Answer} answer */
  #run(answer) {
    if (this.runs.has(answer.id)) return;
    const run = new Run(this.#client, this.#store, answer);
    this.runs.set(answer.id, run);
    let { state } = run.link;
    run.onchange = () => {
      if (answer.conversation === this.current) announce(linkWords(run.link, state));
      state = run.link.state;
      this.#screen.answer(answer);
    };
    void run.finish().finally(() => {
      if (this.runs.get(answer.id) !== run) return;
      this.runs.delete(answer.id);
      this.#screen.conversation();
      if (answer.conversation !== this.current) return;
      announce(endWords(answer));
      this.#screen.ended(answer);
    });
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
