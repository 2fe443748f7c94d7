/**
 * A TCP proxy that breaks connections where a test wants it, and counts requests.
 *
 * It forwards bytes as they are: what it cuts off is exactly what a client does not see.
 */

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

import { RequestReader, ResponseReader } from './http_heads.mjs';

/**
 * Where to cut an answer: after so many bytes of its body as it is on the wire, or right after the
 * first match in it. `reset` breaks it like a lost peer (RST) instead of like a closing one (FIN).
 * `hold` lets the client read what came before, for as long as it likes: it hears nothing more,
 * until the test calls `cutNow`.
 *
 * @typedef {{ bytes?: number, match?: RegExp, reset?: boolean, hold?: boolean }} Cut
 */

export class CuttingProxy {
  #listener;
  #target;
  #links = new Set();
  /** @type {Cut[]} */
  #cuts = [];
  /** Each request that came through: `{ method, target, headers, status }`. */
  requests = [];
  /** How many connections were cut by a plan. */
  cutsMade = 0;

  /** Listens on a free port; where it leads is said by `lead`. */
  static async start() {
    const proxy = new CuttingProxy();
    await proxy.#listen(0);
    proxy.port = proxy.#listener.address().port;
    proxy.url = `http://127.0.0.1:${proxy.port}`;
    return proxy;
  }

  async #listen(port) {
    this.#listener = createServer((client) => this.#accept(client));
    this.#listener.listen(port, '127.0.0.1');
    await once(this.#listener, 'listening');
  }

  /** Forwards to this port from now on. */
  lead(port) {
    this.#target = port;
  }

  /** Plans cuts: each breaks one of the next event streams, in this order. */
  plan(...cuts) {
    this.#cuts.push(...cuts);
  }

  /** Forgets what came through, and the plan. */
  forget() {
    this.requests = [];
    this.cutsMade = 0;
    this.#cuts = [];
  }

  /** Breaks every connection that is open now. */
  cutNow() {
    for (const link of this.#links) link.break(true);
  }

  /** Refuses connections, as a server that is down does. */
  async refuse() {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.cutNow();
    await closed;
  }

  /** Accepts connections again. */
  async accept() {
    await this.#listen(this.port);
  }

  /** The requests for events: not preflights, not JSON. */
  get streams() {
    return this.requests.filter(isForEvents);
  }

  async stop() {
    if (this.#listener.listening) await this.refuse();
  }

  #accept(client) {
    const server = connect(this.#target, '127.0.0.1');
    const link = new Link(client, server);
    this.#links.add(link);
    const requests = new RequestReader();
    client.on('data', (bytes) => {
      for (const request of requests.push(bytes)) {
        this.requests.push(request);
        link.expect(request, isForEvents(request) ? this.#cuts.shift() : undefined);
      }
      server.write(bytes);
    });
    server.on('data', (bytes) => {
      if (link.forward(bytes)) this.cutsMade += 1;
    });
    client.on('close', () => this.#links.delete(link));
  }
}

function isForEvents({ method, target }) {
  const { pathname } = new URL(target, 'http://proxy');
  return method === 'POST'
    ? pathname === '/v1/streams'
    : method === 'GET' && pathname.endsWith('/events');
}

/** A client's connection and ours to the server. */
class Link {
  #client;
  #server;
  #request;
  #response;
  #cut;
  #isCut = false;
  #seen = Buffer.alloc(0);

  constructor(client, server) {
    this.#client = client;
    this.#server = server;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ]) {
      socket.setNoDelay(true);
      // A broken connection is what this is about; the other side learns of it.
      socket.on('error', () => {});
      socket.on('close', () => other.end());
    }
  }

  /** The next bytes from the server answer this request. */
  expect(request, cut) {
    this.#request = request;
    this.#response = new ResponseReader();
    this.#cut = cut;
    this.#isCut = false;
    this.#seen = Buffer.alloc(0);
  }

  /** Passes on what the server sent, up to the cut. Answers whether it was made. */
  forward(bytes) {
    if (this.#isCut) return false;
    const inBody = this.#response?.push(bytes) ?? 0;
    if (this.#request) this.#request.status = this.#response.status;
    if (!this.#cut) {
      this.#client.write(bytes);
      return false;
    }
    const before = this.#seen.length;
    this.#seen = Buffer.concat([this.#seen, bytes.subarray(bytes.length - inBody)]);
    const at = cutPosition(this.#cut, this.#seen);
    if (at === undefined || at > this.#seen.length) {
      this.#client.write(bytes);
      return false;
    }
    // What comes after the cut is not passed on; what came before has been, or is now.
    const passed = bytes.length - inBody + Math.max(0, at - before);
    this.#isCut = true;
    this.#client.write(bytes.subarray(0, passed), () => {
      if (!this.#cut.hold) this.break(this.#cut.reset);
    });
    return true;
  }

  break(reset) {
    if (reset) this.#client.resetAndDestroy();
    else this.#client.end();
    this.#server.destroy();
  }
}

/** Where the cut lies in a body, if that is known yet. */
function cutPosition({ bytes, match }, body) {
  if (bytes !== undefined) return bytes;
  const found = match.exec(body.toString('latin1'));
  return found ? found.index + found[0].length : undefined;
}
