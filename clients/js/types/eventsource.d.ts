/**
 * What it asks of the client.
 *
 * @typedef {object} Calls
 * @property {((id: string) => Promise<Ticket>) | undefined} ticket absent if cookies say who calls
 * @property {(id: string) => Promise<StreamSnapshot>} snapshot
 * @property {(path: string) => string} url
 * @property {boolean} withCredentials
 */
export class EventSourceReading {
    /**
     * @param {Calls} calls
     * @param {RetryPolicy} policy
     * @param {{ id: string, after: number }} source
     * @param {(state: ConnectionState) => void} report
     */
    constructor(calls: Calls, policy: RetryPolicy, { id, after }: {
        id: string;
        after: number;
    }, report: (state: ConnectionState) => void);
    progress: Progress;
    identified: Promise<string>;
    /** @param {number} [milliseconds] */
    disconnect(milliseconds?: number): void;
    hasten(): void;
    /** @param {unknown} reason */
    stop(reason: unknown): void;
    /** @returns {AsyncGenerator<Event[], void, undefined>} */
    batches(): AsyncGenerator<Event[], void, undefined>;
    #private;
}
/**
 * What it asks of the client.
 */
export type Calls = {
    /**
     * absent if cookies say who calls
     */
    ticket: ((id: string) => Promise<Ticket>) | undefined;
    snapshot: (id: string) => Promise<StreamSnapshot>;
    url: (path: string) => string;
    withCredentials: boolean;
};
import { Progress } from './progress.js';
import type { Event } from './shapes.js';
import type { RetryPolicy } from './retry.js';
import type { ConnectionState } from './options.js';
import type { Ticket } from './shapes.js';
import type { StreamSnapshot } from './shapes.js';
