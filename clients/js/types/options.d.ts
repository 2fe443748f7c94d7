/**
 * A token, or what gives one: asked before the first request, and again when a request is
 * answered with 401.
 */
export type TokenSource = string | (() => string | Promise<string>);
/**
 * When to try again.
 */
export type RetryOptions = {
    /**
     * how many in a row may fail without a new event, after the first; 10
     */
    attempts?: number | undefined;
    /**
     * the bound of the first wait, which doubles; 500, or the stream's `retry:`
     */
    baseMs?: number | undefined;
    /**
     * the bound of every wait; 15,000
     */
    maxMs?: number | undefined;
    /**
     * a connection that is silent for so long is dead; 15,000
     */
    silenceMs?: number | undefined;
    /**
     * how often to generate anew after a retryable error before the
     * first token; 0
     */
    regenerate?: number | undefined;
};
export type TailraceOptions = {
    /**
     * where the server is; '' (the default) is the page's own origin
     */
    baseUrl?: string | undefined;
    /**
     * absent if a cookie says who calls
     */
    token?: TokenSource | undefined;
    /**
     * instead of the global one
     */
    fetch?: typeof fetch | undefined;
    /**
     * 'include' sends cookies to other origins
     */
    credentials?: "include" | "omit" | "same-origin" | undefined;
    /**
     * whether tabs share connections; false
     */
    share?: boolean | undefined;
    retry?: RetryOptions | false | undefined;
};
/**
 * How a connection stands.
 */
export type ConnectionState = {
    state: "connecting" | "open" | "waiting" | "polling" | "closed";
    /**
     * how many connections have been tried since the last event came; from 1
     */
    attempt: number;
    /**
     * with 'waiting': how long
     */
    retryInMs?: number | undefined;
    /**
     * with 'waiting': why; with 'closed': what it failed with
     */
    error?: TailraceError | undefined;
    /**
     * with 'open': the last event before the cut
     */
    resumedAfter?: string | undefined;
    /**
     * beside it: how many events were generated before we were back,
     * which come first now; absent if the server does not say it
     */
    replayed?: number | undefined;
};
export type FollowOptions = {
    /**
     * stops reading; it does not cancel the generation
     */
    signal?: AbortSignal | undefined;
    onConnection?: ((state: ConnectionState) => void) | undefined;
    /**
     * whether tabs share connections; as the client has it
     */
    share?: boolean | undefined;
};
export type StreamOptions = FollowOptions & {
    idempotencyKey?: string | undefined;
};
export type ListOptions = {
    /**
     * only those that stand so
     */
    status?: StreamStatus | undefined;
    /**
     * at most so many
     */
    limit?: number | undefined;
    /**
     * only those older than this stream
     */
    after?: string | undefined;
};
export type CallOptions = {
    signal?: AbortSignal | undefined;
};
/**
 * One request of ours.
 */
export type Sending = {
    accept?: string | undefined;
    body?: string | undefined;
    headers?: Record<string, string> | undefined;
    signal?: AbortSignal | undefined;
    /**
     * waits for what the server is to say
     */
    watch?: (<T>(what: Promise<T>) => Promise<T>) | undefined;
};
/**
 * the short form's: where, who and what
 */
export type StreamRequest = TailraceOptions & CreateStream;
import type { TailraceError } from './error.js';
import type { StreamStatus } from './shapes.js';
import type { CreateStream } from './shapes.js';
