/** @implements {AsyncIterable<Event>} */
export class TokenStream implements AsyncIterable<Event> {
    /**
     * @param {(report: (state: ConnectionState) => void) => Reader} read
     * @param {(id: string) => Promise<StreamSnapshot>} cancel
     * @param {FollowOptions} options
     */
    constructor(read: (report: (state: ConnectionState) => void) => Reader, cancel: (id: string) => Promise<StreamSnapshot>, { signal, onConnection }: FollowOptions);
    /** The stream's id, as soon as the server has said it. */
    get id(): string | undefined;
    /** The id of the last event that the loop was given: where `follow` would go on. */
    get lastEventId(): string | undefined;
    /**
     * Ends the generation; the events then end with `done`, `cancelled`. Without a generation yet
     * it waits until there is one; if there will be none, the events end without any.
     *
     * @returns {Promise<StreamSnapshot | undefined>} the stream as it stands, if there is one
     */
    cancel(): Promise<StreamSnapshot | undefined>;
    /**
     * Drops the connection as a broken network would, for so long. It resumes by itself.
     *
     * @param {number} [milliseconds]
     */
    disconnect(milliseconds?: number): void;
    /** @returns {AsyncIterator<Event, void, undefined>} */
    [Symbol.asyncIterator](): AsyncIterator<Event, void, undefined>;
    #private;
}
/**
 * What reads for it.
 */
export type Reader = {
    progress: Progress;
    identified: Promise<string>;
    batches: () => AsyncGenerator<Event[], void, undefined>;
    disconnect: (milliseconds?: number) => void;
    hasten: () => void;
    stop: (reason: unknown) => void;
};
import type { Event } from './shapes.js';
import type { StreamSnapshot } from './shapes.js';
import type { ConnectionState } from './options.js';
import type { FollowOptions } from './options.js';
import type { Progress } from './progress.js';
