/** A server that answers each request with what the test has written down, and nothing else. */

import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * One answer. `body` is sent as it is; with `open` the connection then stays.
 *
 * @typedef {{ status?: number, headers?: Record<string, string>, body?: string, open?: boolean }} Answer
 */

export class Scripted {
  #server;
  /** @type {Answer[]} */
  #answers;
  /** Each request: `{ method, url, headers }`. */
  requests = [];

  /** @param {...Answer} answers in this order; the last one again and again */
  static async start(...answers) {
    const scripted = new Scripted();
    scripted.#answers = answers;
    scripted.#server = createServer((request, response) => scripted.#answer(request, response));
    scripted.#server.listen(0, '127.0.0.1');
    await once(scripted.#server, 'listening');
    scripted.url = `http://127.0.0.1:${scripted.#server.address().port}`;
    return scripted;
  }

  #answer(request, response) {
    const { method, url, headers } = request;
    this.requests.push({ method, url, headers });
    const [first, ...rest] = this.#answers;
    if (rest.length > 0) this.#answers = rest;
    const type = { 'content-type': 'text/event-stream' };
    response.writeHead(first.status ?? 200, first.headers ?? type);
    response.write(first.body ?? '');
    if (!first.open) response.end();
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** An event of the stream `s`, as it is on the wire. */
export function block(event) {
  return `data: ${JSON.stringify(event)}\nevent: ${event.type}\nid: s.${event.seq}\n\n`;
}
