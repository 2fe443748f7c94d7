/** The browser's database as promises: opening it, its requests, its transactions. */

const NAME = 'tailrace';
const VERSION = 1;

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>}
 */
export function committed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Whoever has not opened its storage by then is not waited for. */
const OPEN_MS = 3000;

/** @returns {Promise<IDBDatabase>} */
export function open() {
  const request = indexedDB.open(NAME, VERSION);
  request.onupgradeneeded = () => {
    const database = request.result;
    database.createObjectStore('conversations', { keyPath: 'id' });
    const messages = database.createObjectStore('messages', { keyPath: 'id' });
    messages.createIndex('conversation', 'conversation');
  };
  return new Promise((resolve, reject) => {
    settled(request).then(resolve, reject);
    setTimeout(() => reject(new Error('the storage does not open')), OPEN_MS);
  });
}
