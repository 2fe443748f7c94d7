/**
 * What is asked for: a new generation, or one that exists, after an event of it.
 *
 * @typedef {{ request: CreateStream, key: string } | { id: string, lastEventId: string | undefined }} Opening
 */
/**
 * Asks for events, in one form or another.
 *
 * @param {Http} http
 * @param {Opening} opening
 * @param {string} accept
 * @param {AbortController} cut ends it; it is what silence aborts
 * @param {number} silenceMs
 * @param {Record<string, string>} [headers]
 */
export function ask(http: Http, opening: Opening, accept: string, cut: AbortController, silenceMs: number, headers?: Record<string, string>): Promise<Response>;
/**
 * Asks for events as they come. Answers with nothing if there are none left.
 *
 * @param {Http} http
 * @param {Opening} opening
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
export function openEvents(http: Http, opening: Opening, cut: AbortController, silenceMs: number): Promise<EventConnection | undefined>;
/**
 * Waits for something from the server; if that takes longer than this, the connection is dead.
 *
 * @template T
 * @param {Promise<T>} what
 * @param {number} milliseconds
 * @param {AbortController} cut
 */
export function heard<T>(what: Promise<T>, milliseconds: number, cut: AbortController): Promise<T>;
/**
 * What is asked for: a new generation, or one that exists, after an event of it.
 */
export type Opening = {
    request: CreateStream;
    key: string;
} | {
    id: string;
    lastEventId: string | undefined;
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
    /** Which event was the last that was there already, if the headers say it. */
    tail: number | undefined;
    /** What the stream said of how long to wait before reconnecting. */
    get retryMs(): number | undefined;
    /**
     * The next messages, perhaps none (a comment, or a part of one); nothing at the end.
     *
     * @returns {Promise<Message[] | undefined>}
     */
    next(): Promise<Message[] | undefined>;
    /** Lets a complete answer end, in the background. */
    finish(): void;
    #private;
}
import type { CreateStream } from './shapes.js';
import type { Message } from './parser.js';
export {};
