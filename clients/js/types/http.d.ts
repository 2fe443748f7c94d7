export class Http {
    /**
     * @param {string} baseUrl
     * @param {TokenSource | undefined} source
     * @param {typeof fetch | undefined} fetch
     * @param {RequestCredentials | undefined} credentials
     */
    constructor(baseUrl: string, source: TokenSource | undefined, fetch: typeof globalThis.fetch | undefined, credentials: RequestCredentials | undefined);
    baseUrl: string;
    /** Whether requests have a token; otherwise cookies may say who calls. */
    hasToken: boolean;
    credentials: RequestCredentials | undefined;
    /**
     * Sends a request and answers with its response, whose status is a good one.
     *
     * @param {string} method
     * @param {string} path
     * @param {Sending} [sending]
     * @returns {Promise<Response>}
     * @throws {TailraceError}
     */
    send(method: string, path: string, sending?: Sending): Promise<Response>;
    #private;
}
import type { Sending } from './options.js';
import type { TokenSource } from './options.js';
