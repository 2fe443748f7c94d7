/**
 * Two Tailrace nodes on a Redis of their own, behind real nginx with the configuration that we ship.
 *
 * `deploy/nginx.conf` is run as it is but for the directory of its logs; what an operator writes
 * beside it (nodes, addresses, certificate) is ours.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { Api } from './api.mjs';
import { until } from './deadline.mjs';
import { freePort } from './free_port.mjs';
import { Server } from './server.mjs';

const SHIPPED = join(import.meta.dirname, '../../../deploy/nginx.conf');

const SECRET = 'a secret of at least thirty-two bytes, for tests';

/** Whether something listens there. */
async function listens(port) {
  const socket = connect(port, '127.0.0.1');
  const listening = await new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  });
  socket.destroy();
  return listening;
}

/** A program that is there once it listens on its port, and ends on SIGTERM. */
export class Program {
  #child;

  static async start(name, parameters, directory, port) {
    const program = new Program();
    program.#child = spawn(name, parameters, {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    let failure;
    program.#child.once('error', (error) => (failure = error));
    await until(`${name} listens`, () => {
      if (failure) throw failure;
      if (program.#child.exitCode !== null) throw new Error(`${name} ended`);
      return listens(port);
    });
    return program;
  }

  async stop() {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exit;
  }
}

export class Cluster {
  #parts = [];
  #directory;
  /** @type {Server[]} */
  nodes = [];

  static async start() {
    const cluster = new Cluster();
    cluster.#directory = await mkdtemp(join(tmpdir(), 'tailrace-cluster-'));
    try {
      await cluster.#start();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #start() {
    const [redis, h2, http1] = [await freePort(), await freePort(), await freePort()];
    const persistence = ['--save', '', '--appendonly', 'no'];
    const parameters = ['--port', `${redis}`, '--bind', '127.0.0.1', ...persistence];
    await this.#run('redis-server', parameters, redis);
    const tickets = join(this.#directory, 'ticket.secret');
    await writeFile(tickets, SECRET);
    this.url = `https://127.0.0.1:${h2}`;
    this.http1Url = `https://127.0.0.1:${http1}`;
    for (let node = 0; node < 2; node += 1) {
      const server = await Server.start(`
        store = "redis"
        redis.url = "redis://127.0.0.1:${redis}/"
        trusted_proxies = ["127.0.0.1/32"]
        auth.ticket_secret_file = ${JSON.stringify(tickets)}
        auth.keys = [{ id = "test", algorithm = "HS256", secret = "${SECRET}" }]
        [limits.plans.default]
        requests_per_minute = 60000
        burst = 1000
        streams = 1000
        tokens_per_minute = 100000000
      `);
      this.#parts.push(server);
      this.nodes.push(server);
      await until('the node is ready', async () => (await fetch(`${server.url}/readyz`)).ok);
    }
    this.api = new Api(this.nodes[0].url, await this.nodes[0].token());
    await this.#writeEdge(h2, http1);
    const pid = join(this.#directory, 'nginx.pid');
    const edge = ['-c', join(this.#directory, 'nginx.conf'), '-g', `daemon off; pid ${pid};`];
    await this.#run('nginx', edge, h2);
  }

  async #run(name, parameters, port) {
    this.#parts.push(await Program.start(name, parameters, this.#directory, port));
  }

  async #writeEdge(h2, http1) {
    const shipped = await readFile(SHIPPED, 'utf8');
    const nodes = this.nodes.map(({ port }) => `server 127.0.0.1:${port} max_fails=0;`);
    const files = {
      'nginx.conf': shipped.replaceAll('/var/log/nginx/', `${this.#directory}/`),
      'tailrace-nodes.conf': nodes.join('\n'),
      'tailrace-listen.conf': `
        listen 127.0.0.1:${h2} ssl http2;
        listen 127.0.0.1:${http1} ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
      `,
    };
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(this.#directory, name), text);
    }
    const certificate = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1';
    const where = ['-keyout', 'key.pem', '-out', 'cert.pem'];
    await promisify(execFile)('openssl', [...certificate.split(' '), ...where], {
      cwd: this.#directory,
    });
  }

  /** What nginx has logged of requests. */
  async requests() {
    const log = await readFile(join(this.#directory, 'access.log'), 'utf8');
    return log.trim().split('\n').map((line) => JSON.parse(line));
  }

  /** Stops what was started, the last first. */
  async stop() {
    for (const part of this.#parts.reverse()) await part.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
