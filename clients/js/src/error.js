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
  constructor(message, details) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.name = 'TailraceError';
    /** The server's stable code, or one of this client's; the package's README lists those. */
    this.code = details.code;
    /** The HTTP status, if a server answered. */
    this.status = details.status;
    /** Whether the same may succeed later. */
    this.retryable = details.retryable ?? false;
    /** How long the server asks to wait, in milliseconds. */
    this.retryAfterMs = details.retryAfterMs;
    /** Names the request in the server's log. */
    this.requestId = details.requestId;
    /** The field, header or parameter that is wrong. */
    this.param = details.param;
    /** The answer's body, if it was a problem document. */
    this.problem = details.problem;
  }
}

/**
 * The error that an answer is.
 *
 * @param {Response} response
 * @returns {Promise<TailraceError>}
 */
export async function refusal(response) {
  const { status, headers } = response;
  /** @type {Problem | undefined} */
  let problem;
  try {
    const body = await response.json();
    if (typeof body?.error?.code === 'string') problem = body;
  } catch {
    // A proxy's page, or a body that broke off: the status says enough.
  }
  const again = headers.get('x-should-retry');
  const mayHelp = status === 408 || status === 425 || status === 429 || status >= 500;
  return new TailraceError(problem?.message ?? `the server answered with status ${status}`, {
    code: problem?.error.code ?? `http_${status}`,
    status,
    retryable: again === 'true' || (mayHelp && again !== 'false'),
    retryAfterMs: retryAfter(headers),
    requestId: headers.get('x-request-id') ?? undefined,
    param: problem?.error.param ?? undefined,
    problem,
  });
}

/**
 * The error that a stream's `error` event says.
 *
 * @param {ErrorEvent} event
 * @param {string | undefined} [requestId]
 */
export function failureOf({ error }, requestId) {
  const { code, retryable } = error;
  return new TailraceError(error.message, { code, retryable, requestId });
}

/**
 * What the network did to us. It may be better later.
 *
 * @param {string} code
 * @param {string} message
 * @param {unknown} [cause]
 */
export function broken(code, message, cause) {
  return new TailraceError(message, { code, retryable: true, cause });
}

/** @param {Headers} headers */
function retryAfter(headers) {
  const exact = headers.get('retry-after-ms');
  if (exact !== null && Number(exact) >= 0) return Number(exact);
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const milliseconds = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}
