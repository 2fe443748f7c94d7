/**
 * What callers may say. Nothing runs here.
 *
 * @import { CreateStream, StreamStatus } from './shapes.js'
 * @import { TailraceError } from './error.js'
 */

/**
 * A token, or what gives one: asked before the first request, and again when a request is
 * answered with 401.
 *
 * @typedef {string | (() => string | Promise<string>)} TokenSource
 */

/**
 * When to try again.
 *
 * @typedef {object} RetryOptions
 * @property {number | undefined} [attempts] how many in a row may fail without a new event, after the first; 10
 * @property {number | undefined} [baseMs] the bound of the first wait, which doubles; 500, or the stream's `retry:`
 * @property {number | undefined} [maxMs] the bound of every wait; 15,000
 * @property {number | undefined} [silenceMs] a connection that is silent for so long is dead; 15,000
 * @property {number | undefined} [regenerate] how often to generate anew after a retryable error before the
 *   first token; 0
 */

/**
 * @typedef {object} TailraceOptions
 * @property {string | undefined} [baseUrl] where the server is; '' (the default) is the page's own origin
 * @property {TokenSource | undefined} [token] absent if a cookie says who calls
 * @property {typeof fetch | undefined} [fetch] instead of the global one
 * @property {'include' | 'omit' | 'same-origin' | undefined} [credentials] 'include' sends cookies to other origins
 * @property {boolean | undefined} [share] whether tabs share connections; false
 * @property {RetryOptions | false | undefined} [retry]
 */

/**
 * How a connection stands.
 *
 * @typedef {object} ConnectionState
 * @property {'connecting' | 'open' | 'waiting' | 'polling' | 'closed'} state
 * @property {number} attempt how many connections have been tried since the last event came; from 1
 * @property {number | undefined} [retryInMs] with 'waiting': how long
 * @property {TailraceError | undefined} [error] with 'waiting': why; with 'closed': what it failed with
 * @property {string | undefined} [resumedAfter] with 'open': the last event before the cut
 * @property {number | undefined} [replayed] beside it: how many events were generated before we were back,
 *   which come first now; absent if the server does not say it
 */

/**
 * @typedef {object} FollowOptions
 * @property {AbortSignal | undefined} [signal] stops reading; it does not cancel the generation
 * @property {((state: ConnectionState) => void) | undefined} [onConnection]
 * @property {boolean | undefined} [share] whether tabs share connections; as the client has it
 */

/**
 * @typedef {FollowOptions & { idempotencyKey?: string | undefined }} StreamOptions
 */

/**
 * @typedef {object} ListOptions
 * @property {StreamStatus | undefined} [status] only those that stand so
 * @property {number | undefined} [limit] at most so many
 * @property {string | undefined} [after] only those older than this stream
 */

/**
 * @typedef {object} CallOptions
 * @property {AbortSignal | undefined} [signal]
 */

/**
 * One request of ours.
 *
 * @typedef {object} Sending
 * @property {string | undefined} [accept]
 * @property {string | undefined} [body]
 * @property {Record<string, string> | undefined} [headers]
 * @property {AbortSignal | undefined} [signal]
 * @property {(<T>(what: Promise<T>) => Promise<T>) | undefined} [watch] waits for what the server is to say
 */

/** @typedef {TailraceOptions & CreateStream} StreamRequest the short form's: where, who and what */

export {};
