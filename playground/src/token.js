/**
 * Where the token comes from: in development mode from the server, otherwise from its user. It is
 * kept in this tab's memory and nowhere else.
 */

import { TailraceError } from '../client/index.js';

/** The page of a server in development mode says so. */
const BY_ITSELF =
  document.querySelector('meta[name="tailrace-token"]')?.getAttribute('content') === 'development';

/** A request for a token that was lost is made again after this, for nobody else would notice. */
const LOST_MS = 4000;

/** How often it is made. */
const TIMES = 3;

export class TokenSource {
  #ask;
  #asked = 0;

  /** @param {(why: string) => Promise<string | undefined>} ask a person; undefined if they do not want to */
  constructor(ask) {
    this.#ask = ask;
  }

  /** Gives a token, for the client, which calls this at first and after each 401. */
  async next() {
    if (BY_ITSELF) return fromServer();
    this.#asked += 1;
    const why =
      this.#asked === 1
        ? 'This server wants to know who asks.'
        : 'The token was not accepted or has expired. With another one, everything goes on where it was.';
    const token = await this.#ask(why);
    if (token !== undefined) return token;
    // The next request asks again, as if for the first time.
    this.#asked = 0;
    throw new TailraceError('there is no token', { code: 'token_declined' });
  }
}

async function fromServer() {
  const response = await answered();
  if (!response.ok) {
    const { message } = await response.json();
    throw new TailraceError(message, { code: 'no_development_token', status: response.status });
  }
  /** @type {{ token: string }} */
  const { token } = await response.json();
  return token;
}

/** The server's answer, asked for again if it does not come. */
async function answered() {
  for (let time = 1; ; time += 1) {
    try {
      return await fetch('/playground/token', { method: 'POST', signal: AbortSignal.timeout(LOST_MS) });
    } catch (error) {
      // Any other failure is known at once, and the client knows when to try again.
      const lost = error instanceof DOMException && error.name === 'TimeoutError';
      if (!lost || time === TIMES) throw error;
    }
  }
}
