/**
 * The error that an answer is.
 *
 * @param {Response} response
 * @returns {Promise<TailraceError>}
 */
export function refusal(response: Response): Promise<TailraceError>;
/**
 * The error that a stream's `error` event says.
 *
 * @param {ErrorEvent} event
 * @param {string | undefined} [requestId]
 */
export function failureOf({ error }: ErrorEvent, requestId?: string | undefined): TailraceError;
/**
 * What the network did to us. It may be better later.
 *
 * @param {string} code
 * @param {string} message
 * @param {unknown} [cause]
 */
export function broken(code: string, message: string, cause?: unknown): TailraceError;
/**
 * The one error of this client, and how an answer or an `error` event becomes one.
 *
 * @import { ErrorEvent, Problem } from './shapes.js'
 */
/**
 * What a {@link TailraceError} may know besides its message.
 *
 * @typedef {object} TailraceErrorDetails
 * @property {string} code
 * @property {number | undefined} [status]
 * @property {boolean | undefined} [retryable]
 * @property {number | undefined} [retryAfterMs]
 * @property {string | undefined} [requestId]
 * @property {string | undefined} [param]
 * @property {Problem | undefined} [problem]
 * @property {unknown | undefined} [cause]
 */
/** What could not be mended, or what a connection is being mended from. */
export class TailraceError extends Error {
    /**
     * @param {string} message
     * @param {TailraceErrorDetails} details
     */
    constructor(message: string, details: TailraceErrorDetails);
    /** The server's stable code, or one of this client's; the package's README lists those. */
    code: string;
    /** The HTTP status, if a server answered. */
    status: number | undefined;
    /** Whether the same may succeed later. */
    retryable: boolean;
    /** How long the server asks to wait, in milliseconds. */
    retryAfterMs: number | undefined;
    /** Names the request in the server's log. */
    requestId: string | undefined;
    /** The field, header or parameter that is wrong. */
    param: string | undefined;
    /** The answer's body, if it was a problem document. */
    problem: {
        detail: string;
        error: import("../types/api.js").components["schemas"]["ProblemError"];
        instance: string;
        message: string;
        status: number;
        title: string;
        type: string;
    } | undefined;
}
/**
 * What a {@link TailraceError} may know besides its message.
 */
export type TailraceErrorDetails = {
    code: string;
    status?: number | undefined;
    retryable?: boolean | undefined;
    retryAfterMs?: number | undefined;
    requestId?: string | undefined;
    param?: string | undefined;
    problem?: Problem | undefined;
    cause?: unknown | undefined;
};
import type { ErrorEvent } from './shapes.js';
import type { Problem } from './shapes.js';
