/**
 * A Tailrace server of its own for each test file: its own port, home directory, key and
 * configuration.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { until } from './deadline.mjs';

const HERE = import.meta.dirname;

/** The program under test. */
const PROGRAM = process.env.TAILRACE_BIN
  ? resolve(process.env.TAILRACE_BIN)
  : resolve(HERE, '../../../target/debug/tailrace');

/** The longest that a stop may take: the server is asked to drain for less. */
const STOP_MS = 15_000;

export class Server {
  #child;
  #directory;
  #environment;
  #config;
  #killed = false;
  /** What the server logged: one JSON object a line. */
  log = [];

  /**
   * Starts a server and waits until it listens.
   *
   * @param {string} [toml] the configuration file's text
   * @param {number} [port] where it listens; a free port if it does not matter
   */
  static async start(toml = '', port = 0) {
    const server = new Server();
    server.#directory = await mkdtemp(join(tmpdir(), 'tailrace-clients-'));
    server.#config = join(server.#directory, 'tailrace.toml');
    await writeFile(server.#config, toml);
    // Nothing of ours: TAILRACE_BIN, for one, would be taken for a setting.
    server.#environment = {
      PATH: process.env.PATH,
      HOME: server.#directory,
      XDG_STATE_HOME: server.#directory,
    };
    server.#child = spawn(PROGRAM, ['--config', server.#config], {
      env: { ...server.#environment, TAILRACE_BIND: `127.0.0.1:${port}` },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let failure;
    server.#child.once('error', (error) => (failure = error));
    createInterface(server.#child.stderr).on('line', (line) => server.#record(line));
    const listening = await until('the server listens', () => {
      if (failure) throw failure;
      if (!server.#running()) throw new Error(`the server ended: ${JSON.stringify(server.log)}`);
      return server.log.find((entry) => entry.message === 'Listening');
    });
    server.url = `http://${listening.address}`;
    server.port = Number(listening.address.split(':').at(-1));
    return server;
  }

  #record(line) {
    try {
      this.log.push(JSON.parse(line));
    } catch {
      this.log.push({ message: line });
    }
  }

  #running() {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Asks the server to drain and stop, as a deploy does. Does not wait. */
  drain() {
    this.#child.kill('SIGTERM');
  }

  /** Ends it at once, as a power cut does. */
  async kill() {
    this.#killed = true;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  /** Stops the server at once and removes what it left. Fails if it had crashed or panicked. */
  async stop() {
    const alive = this.#running();
    if (alive) {
      const exit = once(this.#child, 'exit');
      this.#child.kill('SIGTERM');
      // A second signal means: without draining.
      this.#child.kill('SIGINT');
      const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
      await exit;
      clearTimeout(late);
    }
    await rm(this.#directory, { recursive: true, force: true });
    const panic = this.log.find((entry) => entry.message === 'A task panicked');
    if (panic) throw new Error(`the server panicked: ${JSON.stringify(panic)}`);
    if (!alive && !this.#killed && this.#child.exitCode !== 0) {
      throw new Error(`the server had ended by itself: ${JSON.stringify(this.log.slice(-5))}`);
    }
  }

  /**
   * Mints a token, as a person would.
   *
   * @param {...string} options e.g. '--ttl', '1s'
   */
  async token(...options) {
    const lifetime = options.includes('--ttl') ? [] : ['--ttl', '15m'];
    return (await this.run('token', ...lifetime, ...options)).trim();
  }

  /**
   * Runs a command of the program with the server's configuration. Answers what it prints.
   *
   * @param {...string} parameters
   */
  async run(...parameters) {
    const { stdout } = await promisify(execFile)(
      PROGRAM,
      ['--config', this.#config, ...parameters],
      { env: this.#environment },
    );
    return stdout;
  }
}
