/**
 * Begins a generation, and answers with its id.
 *
 * @param {Http} http
 * @param {Extract<Opening, { request: any }>} opening
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
export function begin(http: Http, opening: Extract<Opening, {
    request: any;
}>, cut: AbortController, silenceMs: number): Promise<string>;
/**
 * The events after a cursor, as many as there are or fit into a page.
 *
 * @param {Http} http
 * @param {Extract<Opening, { id: string }>} opening
 * @param {AbortController} cut
 * @param {number} silenceMs
 */
export function readPage(http: Http, opening: Extract<Opening, {
    id: string;
}>, cut: AbortController, silenceMs: number): Promise<{
    closed: boolean;
    events: import("../types/api.js").components["schemas"]["Event"][];
    last_event_id: string;
}>;
import type { Http } from './http.js';
import type { Opening } from './transport.js';
