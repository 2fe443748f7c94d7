export class SharedReading {
    /**
     * @param {string} scope
     * @param {Source} source
     * @param {Read} read
     * @param {(state: ConnectionState) => void} report
     * @param {number} silenceMs
     */
    constructor(scope: string, source: Source, read: Read, report: (state: ConnectionState) => void, silenceMs: number);
    progress: Progress;
    identified: Promise<string>;
    /** @returns {AsyncGenerator<Event[], void, undefined>} */
    batches(): AsyncGenerator<Event[], void, undefined>;
    /** Drops the connection of all who follow. @param {number} [milliseconds] */
    disconnect(milliseconds?: number): void;
    hasten(): void;
    /** @param {unknown} reason */
    stop(reason: unknown): void;
    #private;
}
/**
 * Reads a stream, for one tab or for all.
 */
export type Read = (source: Source, report: (state: ConnectionState) => void, gate?: Gate) => Reading;
import { Progress } from './progress.js';
import type { Event } from './shapes.js';
import type { Source } from './reading.js';
import type { ConnectionState } from './options.js';
import type { Gate } from './reading.js';
import type { Reading } from './reading.js';
