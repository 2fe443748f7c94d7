/**
 * @param {RetryOptions | false | undefined} options
 * @returns {RetryPolicy}
 */
export function policyOf(options: RetryOptions | false | undefined): RetryPolicy;
/**
 * How long to wait before the next attempt, in milliseconds; undefined if there is none.
 *
 * @param {RetryPolicy} policy
 * @param {number} failed how many attempts in a row have failed, from 1
 * @param {TailraceError} error why the last one did
 * @param {number} [baseMs] what the server would have for the first wait
 */
export function retryDelay(policy: RetryPolicy, failed: number, error: TailraceError, baseMs?: number): number | undefined;
/** Whether the browser knows that there is no network. */
export function isOffline(): boolean;
/**
 * Waits, until the time is over or `signal` is aborted; with `eager`, also until the browser
 * says that the network is back or that the page is looked at again. Never rejects.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @param {boolean} [eager]
 * @returns {Promise<void>}
 */
export function pause(milliseconds: number, signal: AbortSignal, eager?: boolean): Promise<void>;
/**
 * Waits for something that cannot be aborted itself.
 *
 * @template T
 * @param {AbortSignal | undefined} signal
 * @param {Promise<T>} what
 * @returns {Promise<T>}
 */
export function unless<T>(signal: AbortSignal | undefined, what: Promise<T>): Promise<T>;
/**
 * The options, none of them open.
 */
export type RetryPolicy = {
    attempts: number;
    baseMs: number;
    maxMs: number;
    silenceMs: number;
    regenerate: number;
};
import type { RetryOptions } from './options.js';
import type { TailraceError } from './error.js';
