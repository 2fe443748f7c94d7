/**
 * The short form: a client for one stream.
 *
 * @param {StreamRequest} request
 * @param {StreamOptions} [options]
 */
export function stream({ baseUrl, token, fetch, credentials, share, retry, ...request }: StreamRequest, options?: StreamOptions): TokenStream;
export class Tailrace {
    /** @param {TailraceOptions} [options] */
    constructor({ baseUrl, token, fetch, credentials, share, retry }?: TailraceOptions);
    /**
     * Starts a generation, when its first event is asked for.
     *
     * @param {CreateStream} request
     * @param {StreamOptions} [options]
     */
    stream(request: CreateStream, options?: StreamOptions): TokenStream;
    /**
     * Follows a generation that exists: all of it, or what comes after a cursor.
     *
     * @param {string} idOrCursor a stream's id, or the id of an event of it
     * @param {FollowOptions} [options]
     */
    follow(idOrCursor: string, options?: FollowOptions): TokenStream;
    /**
     * The whole text of a new generation.
     *
     * @param {CreateStream} request
     * @param {StreamOptions} [options]
     * @throws {TailraceError} it failed
     */
    text(request: CreateStream, options?: StreamOptions): Promise<string>;
    /**
     * Ends a generation.
     *
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<StreamSnapshot>}
     */
    cancel(id: string, options?: CallOptions): Promise<StreamSnapshot>;
    /**
     * A stream as it stands, with its text so far.
     *
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<StreamSnapshot>}
     */
    snapshot(id: string, options?: CallOptions): Promise<StreamSnapshot>;
    /**
     * The caller's streams, newest first.
     *
     * @param {ListOptions & CallOptions} [options]
     * @returns {Promise<StreamList>}
     */
    list({ signal, ...filter }?: ListOptions & CallOptions): Promise<StreamList>;
    /**
     * Cancels a generation and erases what is kept of it.
     *
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    delete(id: string, options?: CallOptions): Promise<void>;
    /**
     * The models that there are.
     *
     * @param {CallOptions} [options]
     * @returns {Promise<ModelList>}
     */
    models(options?: CallOptions): Promise<ModelList>;
    /**
     * A credential that reads this one stream, for URLs.
     *
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Ticket>}
     */
    ticket(id: string, options?: CallOptions): Promise<Ticket>;
    /**
     * Follows a generation with the browser's own `EventSource`, which shows in its developer tools;
     * tickets are made as they are needed. It cannot see heartbeats: `follow` notices a dead
     * connection sooner.
     *
     * @param {string} idOrCursor
     * @param {FollowOptions} [options] `share` has no meaning here
     */
    eventSource(idOrCursor: string, options?: FollowOptions): TokenStream;
    #private;
}
import type { StreamRequest } from './options.js';
import type { StreamOptions } from './options.js';
import { TokenStream } from './stream.js';
import type { CreateStream } from './shapes.js';
import type { FollowOptions } from './options.js';
import type { CallOptions } from './options.js';
import type { StreamSnapshot } from './shapes.js';
import type { ListOptions } from './options.js';
import type { StreamList } from './shapes.js';
import type { ModelList } from './shapes.js';
import type { Ticket } from './shapes.js';
import type { TailraceOptions } from './options.js';
