/** Why a reading ends that was cancelled before there was a generation. */
export const NEVER_BEGAN: TailraceError;
export class Reading {
    /**
     * @param {Http} http
     * @param {RetryPolicy} policy
     * @param {Source} source
     * @param {(state: ConnectionState) => void} report
     * @param {Gate} [gate] says whether a connection may stay open; absent: it may
     */
    constructor(http: Http, policy: RetryPolicy, source: Source, report: (state: ConnectionState) => void, gate?: Gate);
    progress: Progress;
    identified: Promise<string>;
    /** Drops the connection, and stays away for so many milliseconds. */
    disconnect(milliseconds?: number): void;
    /** Ends it: `batches` throws this reason. */
    stop(reason: unknown): void;
    /** Whoever waits for its id wants it now, or to hear that nothing has begun. */
    hasten(): void;
    /** @returns {AsyncGenerator<Event[], void, undefined>} */
    batches(): AsyncGenerator<Event[], void, undefined>;
    #private;
}
/**
 * What is read: a new generation, or one that exists, after what has been seen of it.
 */
export type Source = {
    request: CreateStream;
    key: string;
} | {
    id: string;
    after: number;
};
export type Gate = {
    enter: () => Promise<boolean>;
};
import { TailraceError } from './error.js';
import { Progress } from './progress.js';
import type { Event } from './shapes.js';
import type { Http } from './http.js';
import type { RetryPolicy } from './retry.js';
import type { ConnectionState } from './options.js';
import type { CreateStream } from './shapes.js';
