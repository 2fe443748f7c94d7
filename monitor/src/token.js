/**
 * The operator's token: given by hand, or by the link that a server in development mode prints. It is kept for
 * this tab, and nowhere else.
 */

const KEY = 'tailrace.monitor.token';

/** A link's token, which then stands in no address any more: addresses are kept by the browser. */
function ofLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) history.replaceState(null, '', location.pathname);
  return token;
}

export class TokenStore {
  #token = ofLink() ?? sessionStorage.getItem(KEY) ?? '';

  constructor() {
    if (this.#token) sessionStorage.setItem(KEY, this.#token);
    // A link that is opened while the page is there changes nothing but what stands after the #.
    addEventListener('hashchange', () => {
      const token = ofLink();
      if (!token) return;
      this.keep(token);
      location.reload();
    });
  }

  get token() {
    return this.#token;
  }

  /** @param {string} token */
  keep(token) {
    this.#token = token;
    sessionStorage.setItem(KEY, token);
  }

  forget() {
    this.#token = '';
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
