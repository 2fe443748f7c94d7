/**
 * Conversations, kept in this browser: in IndexedDB, since answers are written while they stream,
 * which must not block the page, and long ones outgrow the five megabytes of localStorage.
 *
 * @import { Answer, Conversation, Message } from './model.js'
 */

import { placeOf } from './branches.js';
import { committed, open, settled } from './database.js';

export class Store {
  /** Absent where the browser keeps nothing. @type {IDBDatabase | undefined} */
  #database;
  #channel = new BroadcastChannel('tailrace-playground');
  /**
   * What is not written yet, or cannot be: it counts as written, and null as deleted. So nobody has to
   * wait for the storage, and nothing is lost from the page where there is none.
   *
   * @type {Map<string, Conversation | null>}
   */
  #conversations = new Map();
  /** @type {Map<string, Message | null>} */
  #messages = new Map();
  /** Whether something could not be kept. */
  failed = false;
  /** What to do when another tab has changed a conversation. @type {(id: string) => void} */
  onchange = () => {};
  /** What to do when something cannot be kept, the first time. */
  onfailure = () => {};

  /** @param {IDBDatabase | undefined} database */
  constructor(database) {
    this.#database = database;
    this.failed = database === undefined;
    this.#channel.onmessage = ({ data }) => this.onchange(data);
  }

  /** Opens what is kept; where that is not possible, a store that only lasts as long as the page. */
  static async open() {
    try {
      return new Store(await open());
    } catch {
      return new Store(undefined);
    }
  }

  #fail() {
    if (this.failed) return;
    this.failed = true;
    this.onfailure();
  }

  /**
   * What a request finds.
   *
   * @template T
   * @param {'conversations' | 'messages'} name
   * @param {(store: IDBObjectStore) => IDBRequest<T>} ask
   * @returns {Promise<T | undefined>} undefined if it cannot be read
   */
  async #read(name, ask) {
    if (!this.#database) return undefined;
    try {
      return await settled(ask(this.#database.transaction(name).objectStore(name)));
    } catch {
      this.#fail();
      return undefined;
    }
  }

  /**
   * Writes what is to count at once, and waits until it is safe, which a request's success is not yet.
   *
   * @template {Conversation | Message} T
   * @param {'conversations' | 'messages'} name
   * @param {Map<string, T | null>} pending
   * @param {[string, T | null][]} changes
   */
  async #write(name, pending, changes) {
    for (const [id, value] of changes) pending.set(id, value);
    if (!this.#database) return;
    try {
      const transaction = this.#database.transaction(name, 'readwrite');
      const store = transaction.objectStore(name);
      for (const [id, value] of changes) {
        if (value) store.put(value);
        else store.delete(id);
      }
      await committed(transaction);
      for (const [id, value] of changes) if (pending.get(id) === value) pending.delete(id);
    } catch {
      this.#fail();
    }
  }

  /**
   * Reads and writes messages in one transaction, and waits until it is safe.
   *
   * @template T
   * @param {(store: IDBObjectStore) => Promise<T>} change
   * @returns {Promise<T>}
   */
  async #inOne(change) {
    if (!this.#database) throw new Error('there is no storage');
    const transaction = this.#database.transaction('messages', 'readwrite');
    const safe = committed(transaction);
    // It is waited for below; until then a failure must not count as one that nobody looks at.
    safe.catch(() => {});
    const result = await change(transaction.objectStore('messages'));
    await safe;
    return result;
  }

  /** All of them, the latest first. */
  async conversations() {
    /** @type {Conversation[]} */
    const kept = (await this.#read('conversations', (store) => store.getAll())) ?? [];
    return together(kept, this.#conversations).sort((one, other) => other.updated - one.updated);
  }

  /**
   * @param {string} id
   * @returns {Promise<Conversation | undefined>}
   */
  async conversation(id) {
    const kept = await this.#read('conversations', (store) => store.get(id));
    const pending = this.#conversations.get(id);
    return pending === undefined ? kept : (pending ?? undefined);
  }

  /** @param {Conversation} conversation */
  async putConversation(conversation) {
    await this.#write('conversations', this.#conversations, [[conversation.id, conversation]]);
    this.#channel.postMessage(conversation.id);
  }

  /** @param {string} id */
  async deleteConversation(id) {
    await this.#write('conversations', this.#conversations, [[id, null]]);
    await this.deleteMessages(await this.messages(id));
    this.#channel.postMessage(id);
  }

  /**
   * The messages of a conversation.
   *
   * @param {string} conversation
   */
  async messages(conversation) {
    /** @type {Message[]} */
    const kept =
      (await this.#read('messages', (store) => store.index('conversation').getAll(conversation))) ?? [];
    return together(kept, this.#messages).filter((message) => message.conversation === conversation);
  }

  /** @param {Message} message */
  async putMessage(message) {
    await this.#write('messages', this.#messages, [[message.id, message]]);
    this.#channel.postMessage(message.conversation);
  }

  /**
   * Writes new messages. Another tab may have asked in the same conversation meanwhile, so their places
   * are settled in the transaction that writes them.
   *
   * @param {Message[]} messages of one conversation
   * @param {(kept: Message[]) => void} place given those that are kept, sees to the places of the new ones
   */
  async addMessages(messages, place) {
    const [first] = messages;
    if (!first) return;
    for (const message of messages) this.#messages.set(message.id, message);
    if (!this.#database) return;
    try {
      await this.#inOne(async (store) => {
        place(await settled(store.index('conversation').getAll(first.conversation)));
        for (const message of messages) store.put(message);
      });
      for (const message of messages) {
        if (this.#messages.get(message.id) === message) this.#messages.delete(message.id);
      }
    } catch {
      this.#fail();
    }
    this.#channel.postMessage(first.conversation);
  }

  /**
   * Writes down that a message is the one of its versions that is shown.
   *
   * @param {Message} message
   */
  async putChoice({ id, conversation, chosen }) {
    if (!this.#database) return;
    try {
      await this.#inOne(async (store) => {
        const kept = await settled(store.get(id));
        if (kept) store.put({ ...kept, chosen });
      });
    } catch {
      this.#fail();
    }
    this.#channel.postMessage(conversation);
  }

  /**
   * Writes an answer as far as it has come, unless another tab has come further or it was deleted.
   *
   * @param {Answer} answer
   */
  async putProgress(answer) {
    if (!this.#database || this.#messages.get(answer.id) === null) return;
    try {
      const before = await this.#inOne(async (store) => {
        /** @type {Answer | undefined} */
        const kept = await settled(store.get(answer.id));
        if (!kept || kept.seq > answer.seq) return answer.status;
        if (kept.seq === answer.seq && kept.status !== 'running') return answer.status;
        // Another tab may have chosen among its versions.
        store.put({ ...answer, ...placeOf(kept) });
        return kept.status;
      });
      if (answer.status !== before) this.#channel.postMessage(answer.conversation);
    } catch {
      this.#messages.set(answer.id, answer);
      this.#fail();
    }
  }

  /** @param {Message[]} messages */
  async deleteMessages(messages) {
    const [first] = messages;
    if (!first) return;
    await this.#write('messages', this.#messages, messages.map(({ id }) => [id, null]));
    this.#channel.postMessage(first.conversation);
  }

  /**
   * The conversations in which a message has these words.
   *
   * @param {string} words
   * @returns {Promise<Set<string>>}
   */
  async containing(words) {
    const wanted = words.toLowerCase();
    /** @type {Set<string>} */
    const found = new Set();
    const has = (/** @type {Message} */ { text }) => text.toLowerCase().includes(wanted);
    for (const message of this.#messages.values()) {
      if (message && has(message)) found.add(message.conversation);
    }
    if (!this.#database) return found;
    const cursor = this.#database.transaction('messages').objectStore('messages').openCursor();
    return new Promise((resolve, reject) => {
      cursor.onerror = () => reject(cursor.error);
      cursor.onsuccess = () => {
        const at = cursor.result;
        if (!at) return resolve(found);
        /** @type {Message} */
        const message = at.value;
        if (has(message)) found.add(message.conversation);
        at.continue();
      };
    });
  }
}

/**
 * What is kept, with what counts as kept.
 *
 * @template {{ id: string }} T
 * @param {T[]} kept
 * @param {Map<string, T | null>} pending
 */
function together(kept, pending) {
  const still = kept.filter(({ id }) => !pending.has(id));
  return [...still, ...[...pending.values()].filter((value) => value !== null)];
}

/** An id that nobody else makes. Pages of plain http origins have no `randomUUID`. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
