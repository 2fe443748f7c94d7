/**
 * Conversations, kept in this browser: in IndexedDB, since answers are written while they stream,
 * which must not block the page, and long ones outgrow the five megabytes of localStorage.
 *
 * @import { Answer, Conversation, Message } from './model.js'
 */

const NAME = 'tailrace';
const VERSION = 1;

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    const database = request.result;
    database.createObjectStore('conversations', { keyPath: 'id' });
    const messages = database.createObjectStore('messages', { keyPath: 'id' });
    messages.createIndex('conversation', 'conversation');
  };
  return settled(request);
}

export class Store {
  #database;
  #channel = new BroadcastChannel('tailrace-playground');
  /** What to do when another tab has changed a conversation. @type {(id: string) => void} */
  onchange = () => {};

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
    this.#channel.onmessage = ({ data }) => this.onchange(data);
  }

  static async open() {
    return new Store(await open());
  }

  /**
   * @param {'conversations' | 'messages'} name
   * @param {IDBTransactionMode} [mode]
   */
  #store(name, mode = 'readonly') {
    return this.#database.transaction(name, mode).objectStore(name);
  }

  /** All of them, the latest first. */
  async conversations() {
    /** @type {Conversation[]} */
    const all = await settled(this.#store('conversations').getAll());
    return all.sort((one, other) => other.updated - one.updated);
  }

  /**
   * @param {string} id
   * @returns {Promise<Conversation | undefined>}
   */
  conversation(id) {
    return settled(this.#store('conversations').get(id));
  }

  /** @param {Conversation} conversation */
  async putConversation(conversation) {
    await settled(this.#store('conversations', 'readwrite').put(conversation));
    this.#channel.postMessage(conversation.id);
  }

  /** @param {string} id */
  async deleteConversation(id) {
    await settled(this.#store('conversations', 'readwrite').delete(id));
    await this.deleteMessages(id, 0);
  }

  /**
   * The messages of a conversation in their order.
   *
   * @param {string} conversation
   */
  async messages(conversation) {
    const index = this.#store('messages').index('conversation');
    /** @type {Message[]} */
    const all = await settled(index.getAll(conversation));
    return all.sort((one, other) => one.at - other.at);
  }

  /** @param {Message} message */
  async putMessage(message) {
    await settled(this.#store('messages', 'readwrite').put(message));
    this.#channel.postMessage(message.conversation);
  }

  /**
   * Writes an answer as far as it has come, unless another tab has come further or it was deleted.
   *
   * @param {Answer} answer
   */
  async putProgress(answer) {
    const store = this.#store('messages', 'readwrite');
    /** @type {Answer | undefined} */
    const kept = await settled(store.get(answer.id));
    if (!kept || kept.seq > answer.seq) return;
    if (kept.seq === answer.seq && kept.status !== 'running') return;
    await settled(store.put(answer));
    if (answer.status !== kept.status) this.#channel.postMessage(answer.conversation);
  }

  /**
   * Deletes the messages of a conversation from this place on.
   *
   * @param {string} conversation
   * @param {number} from
   */
  async deleteMessages(conversation, from) {
    const late = (await this.messages(conversation)).filter(({ at }) => at >= from);
    const store = this.#store('messages', 'readwrite');
    await Promise.all(late.map(({ id }) => settled(store.delete(id))));
    this.#channel.postMessage(conversation);
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
    const cursor = this.#store('messages').openCursor();
    return new Promise((resolve, reject) => {
      cursor.onerror = () => reject(cursor.error);
      cursor.onsuccess = () => {
        const at = cursor.result;
        if (!at) return resolve(found);
        /** @type {Message} */
        const { conversation, text } = at.value;
        if (text.toLowerCase().includes(wanted)) found.add(conversation);
        at.continue();
      };
    });
  }
}

/** An id that nobody else makes. Pages of plain http origins have no `randomUUID`. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
