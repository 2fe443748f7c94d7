export class Progress {
    /**
     * @param {string} [id]
     * @param {number} [seq] of the last event that was seen; -1 before the first
     * @param {boolean} [gapless] whether every event comes here
     */
    constructor(id?: string, seq?: number, gapless?: boolean);
    /** What is wrong with the last events that came, if the good ones before it are not all. @type {unknown} */
    fault: unknown;
    /** Whether the terminal event has come. */
    over: boolean;
    /** The stream's id, once that is known. */
    id: string | undefined;
    seq: number;
    /** The id of the last event seen, if there was one. */
    get lastEventId(): string | undefined;
    /** Where to go on. Only once the id is known. */
    get cursor(): {
        id: string;
        lastEventId: string | undefined;
    };
    /**
     * Takes messages off the wire and answers with the events that are new. It stops at a fault.
     *
     * @param {Pick<Message, 'data' | 'id'>[]} messages
     */
    take(messages: Pick<Message, "data" | "id">[]): ({
        finish_reason: import("../types/api.js").components["schemas"]["FinishReason"];
        seq: number;
        text_sha256: string;
        timing: import("../types/api.js").components["schemas"]["Timing"];
        type: "done";
        usage: import("../types/api.js").components["schemas"]["Usage"];
    } | {
        error: import("../types/api.js").components["schemas"]["Failure"];
        seq: number;
        type: "error";
        usage: import("../types/api.js").components["schemas"]["Usage"];
    } | {
        created: number;
        model: string;
        seq: number;
        stream: string;
        type: "start";
    } | {
        seq: number;
        text: string;
        type: "token";
    } | {
        seq: number;
        text: string;
        type: "reasoning";
    } | {
        seq: number;
        text: string;
        type: "refusal";
    } | {
        arguments: string;
        id?: string | null;
        index: number;
        name?: string | null;
        seq: number;
        type: "tool_call";
    } | {
        logprobs: {
            [key: string]: unknown;
        };
        seq: number;
        type: "logprobs";
    })[];
    /**
     * The same, of events.
     *
     * @param {Event[]} events
     * @returns {Event[]}
     */
    accept(events: Event[]): Event[];
    /**
     * Compares the text with the digest in `done`, where there is something that can: pages of
     * plain http origins have no `crypto.subtle`.
     */
    verify(): Promise<void>;
    #private;
}
import type { Message } from './parser.js';
import type { Event } from './shapes.js';
