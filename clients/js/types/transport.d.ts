/**
 * @typedef {{ request: CreateStream, key: string } | { cursor: { id: string, lastEventId?: string | undefined } } | { id: string }} Opening
 */
/**
 * Asks for events. Answers with nothing if there are none left.
 *
 * @param {Http} http
 * @param {Opening} opening
 * @param {AbortController} cut ends it; it is what silence aborts
 * @param {number} silenceMs
 */
export function openEvents(http: Http, opening: Opening, cut: AbortController, silenceMs: number): Promise<EventConnection | undefined>;
export type Opening = {
    request: CreateStream;
    key: string;
} | {
    cursor: {
        id: string;
        lastEventId?: string | undefined;
    };
} | {
    id: string;
};
import type { Http } from './http.js';
declare class EventConnection {
    /**
     * @param {Response} response
     * @param {ReadableStream<Uint8Array>} body
     * @param {AbortController} cut
     * @param {number} silenceMs
     */
    constructor(response: Response, body: ReadableStream<Uint8Array>, cut: AbortController, silenceMs: number);
    /** The stream's id, if the headers say it. */
    id: string | undefined;
    /** What the stream said of how long to wait before reconnecting. */
    get retryMs(): number | undefined;
    /**
     * The next messages, perhaps none (a comment, or a part of one); nothing at the end.
     *
     * @returns {Promise<Message[] | undefined>}
     */
    next(): Promise<Message[] | undefined>;
    /** Whether nothing more has come just now. */
    pauses(): Promise<any>;
    /** Lets a complete answer end, in the background. */
    finish(): void;
    #private;
}
import type { CreateStream } from './shapes.js';
import type { Message } from './parser.js';
export {};
