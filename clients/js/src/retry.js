/**
 * When to try again: the policy, and waiting that ends early, as when the network is back.
 *
 * @import { RetryOptions } from './options.js'
 * @import { TailraceError } from './error.js'
 */

/**
 * The options, none of them open.
 *
 * @typedef {{ attempts: number, baseMs: number, maxMs: number, silenceMs: number, regenerate: number }} RetryPolicy
 */

/** @type {RetryPolicy} */
const DEFAULTS = { attempts: 10, baseMs: 500, maxMs: 15_000, silenceMs: 15_000, regenerate: 0 };

/** A server that asks for a longer wait than this is not waited for. */
const LONGEST_RETRY_AFTER_MS = 60_000;

/** The longest that timers can be set to. */
const LONGEST_TIMER_MS = 2_147_483_647;

/**
 * @param {RetryOptions | false | undefined} options
 * @returns {RetryPolicy}
 */
export function policyOf(options) {
  if (options === false) return { ...DEFAULTS, attempts: 0 };
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}

/**
 * How long to wait before the next attempt, in milliseconds; undefined if there is none.
 *
 * @param {RetryPolicy} policy
 * @param {number} failed how many attempts in a row have failed, from 1
 * @param {TailraceError} error why the last one did
 * @param {number} [baseMs] what the server would have for the first wait
 */
export function retryDelay(policy, failed, error, baseMs = policy.baseMs) {
  if (!error.retryable || failed > policy.attempts) return undefined;
  const { retryAfterMs = 0 } = error;
  if (retryAfterMs > LONGEST_RETRY_AFTER_MS) return undefined;
  // A little later than asked, so that those who were turned away do not all come together.
  const asked = retryAfterMs * (1 + Math.random() / 10);
  // "Full jitter": anything up to the exponential bound. A server that asks for no wait at all would
  // otherwise see every attempt at once.
  const own = Math.random() * Math.min(policy.maxMs, baseMs * 2 ** (failed - 1));
  return Math.ceil(Math.max(asked, own));
}

/** Whether the browser knows that there is no network. */
export function isOffline() {
  return globalThis.navigator?.onLine === false;
}

/**
 * Waits, until the time is over or `signal` is aborted; with `eager`, also until the browser
 * says that the network is back or that the page is looked at again. Never rejects.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @param {boolean} [eager]
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal, eager = false) {
  return new Promise((resolve) => {
    const visible = () => globalThis.document.visibilityState === 'visible' && end();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      globalThis.removeEventListener?.('online', end);
      globalThis.document?.removeEventListener('visibilitychange', visible);
      resolve();
    };
    const timer = setTimeout(end, Math.min(milliseconds, LONGEST_TIMER_MS));
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    else if (eager) {
      globalThis.addEventListener?.('online', end);
      globalThis.document?.addEventListener('visibilitychange', visible);
    }
  });
}

/**
 * Waits for something that cannot be aborted itself.
 *
 * @template T
 * @param {AbortSignal | undefined} signal
 * @param {Promise<T>} what
 * @returns {Promise<T>}
 */
export function unless(signal, what) {
  if (!signal) return what;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    const done = () => signal.removeEventListener('abort', abort);
    what.then(resolve, reject).finally(done);
  });
}
