/**
 * The few calls that tests make beside the client they test: straight to the server, in JSON.
 */

export class Api {
  /** @param {string} url @param {string} token */
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async #call(method, path, { body, headers } = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body && JSON.stringify(body),
    });
    const answer = response.status === 204 ? undefined : await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Starts a generation and answers with its snapshot. */
  create(request) {
    return this.#call('POST', '/v1/streams', {
      body: request,
      headers: { prefer: 'respond-async' },
    });
  }

  /** Looks at a stream. */
  snapshot(id) {
    return this.#call('GET', `/v1/streams/${id}`);
  }

  /** The caller's streams. */
  async list() {
    return (await this.#call('GET', '/v1/streams')).streams;
  }

  /** Cancels a generation. */
  cancel(id) {
    return this.#call('POST', `/v1/streams/${id}/cancel`);
  }

  /** Cancels and erases a stream. */
  delete(id) {
    return this.#call('DELETE', `/v1/streams/${id}`);
  }

  /** Makes a ticket for one stream. */
  ticket(id) {
    return this.#call('POST', `/v1/streams/${id}/tickets`);
  }
}

/**
 * A request for the demo generator.
 *
 * @param {Record<string, string | number>} knobs without their `demo.`
 */
export function demo(knobs) {
  const metadata = Object.entries(knobs).map(([knob, value]) => [`demo.${knob}`, String(value)]);
  return { prompt: 'Tell me about lighthouse keepers', metadata: Object.fromEntries(metadata) };
}
