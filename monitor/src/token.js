/**
 * The operator's token: given by hand, or by the link that a server in development mode prints. It is kept for
 * this tab, and nowhere else. A link's does not replace one that the server takes.
 */

const KEY = 'tailrace.monitor.token';

/** A link's token, which then stands in no address any more: addresses are kept by the browser. */
function ofLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

export class TokenStore {
  #token = sessionStorage.getItem(KEY) ?? '';
  /** What a link has brought beside a token that is kept: anybody can make a link. */
  #offered = '';

  /** @param {() => void} onToken there is a token, where there was none */
  constructor(onToken) {
    this.#offer();
    // A link that is opened while the page is there changes nothing but what stands after the #.
    addEventListener('hashchange', () => {
      const had = this.#token;
      this.#offer();
      if (!had && this.#token) onToken();
    });
  }

  #offer() {
    const token = ofLink();
    if (!token || token === this.#token) return;
    if (this.#token) this.#offered = token;
    else this.keep(token);
  }

  get token() {
    return this.#token;
  }

  /** The server takes the token: a link's is not wanted. */
  accepted() {
    this.#offered = '';
  }

  /** The server does not take the token: whether a link has brought another one, which is kept now. */
  refused() {
    const offered = this.#offered;
    this.forget();
    if (offered) this.keep(offered);
    return offered !== '';
  }

  /** @param {string} token */
  keep(token) {
    this.#token = token;
    sessionStorage.setItem(KEY, token);
  }

  forget() {
    this.#token = this.#offered = '';
    sessionStorage.removeItem(KEY);
  }
}

/**
 * What somebody has pasted, as a token; undefined if it cannot be one.
 *
 * @param {string} text
 */
export function tokenIn(text) {
  const given = text.replace(/^\s*bearer\s/i, '').replace(/\s/g, '');
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(given) ? given : undefined;
}
