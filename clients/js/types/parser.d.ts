/**
 * An incremental parser of `text/event-stream`, as the HTML standard has it (section 9.2.6): bytes
 * in, however they were cut, and complete messages out. It knows nothing of connections.
 */
/**
 * One message. `id` is there if the block had one: who commits ids does so with the whole block.
 *
 * @typedef {{ data: string, event: string, id: string | undefined }} Message
 */
export class EventStreamParser {
    /**
     * What the stream said last of how long to wait before reconnecting, in milliseconds.
     *
     * @type {number | undefined}
     */
    retryMs: number | undefined;
    /**
     * Takes the next bytes, and answers with the messages that are complete now.
     *
     * @param {Uint8Array} bytes
     * @returns {Message[]}
     */
    push(bytes: Uint8Array): Message[];
    #private;
}
/**
 * One message. `id` is there if the block had one: who commits ids does so with the whole block.
 */
export type Message = {
    data: string;
    event: string;
    id: string | undefined;
};
