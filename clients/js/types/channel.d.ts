/**
 * `events` may be empty: the reader is alive. `last` is the number of its last event. `hello` asks it how
 * things stand.
 *
 * @typedef {{ kind: 'events', events: Event[], last: number }
 *   | { kind: 'state', state: ConnectionState }
 *   | { kind: 'disconnect', milliseconds: number }
 *   | { kind: 'hello' }} Said
 */
/** Whether tabs can share here. Pages of plain http origins have no locks, and Node has no tabs. */
export function canShare(): boolean;
/**
 * What the tabs of this origin have in common that speak to this server.
 *
 * @param {string} baseUrl
 */
export function scopeOf(baseUrl: string): string;
export class Channel {
    /**
     * @param {string} scope
     * @param {string} id the stream's
     * @param {(said: Said) => void} hear
     */
    constructor(scope: string, id: string, hear: (said: Said) => void);
    /** @param {Said} said */
    say(said: Said): void;
    /**
     * Becomes the tab that reads, if nobody is.
     *
     * @returns {Promise<boolean>}
     */
    lead(): Promise<boolean>;
    /**
     * Becomes the tab that reads when those before it have closed or left. The browser frees what a
     * closed or killed tab has held.
     *
     * @param {() => void} lead
     */
    succeed(lead: () => void): void;
    /**
     * Leaves it to the others, after so many milliseconds: if there is nothing more to read, they
     * are about to hear that.
     */
    leave(milliseconds?: number): void;
    #private;
}
/**
 * `events` may be empty: the reader is alive. `last` is the number of its last event. `hello` asks it how
 * things stand.
 */
export type Said = {
    kind: "events";
    events: Event[];
    last: number;
} | {
    kind: "state";
    state: ConnectionState;
} | {
    kind: "disconnect";
    milliseconds: number;
} | {
    kind: "hello";
};
import type { Event } from './shapes.js';
import type { ConnectionState } from './options.js';
