/**
 * Headless Chromium, started by us and driven over its debugging protocol.
 *
 * Playwright would start it too, but then tells every page that it is focused, so that no tab is
 * ever hidden. Connected with `noDefaults`, the tabs of one window hide each other as they do on a
 * desk.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { chromium } from 'playwright-core';

import { until } from './deadline.mjs';

const PROGRAM = process.env.CHROMIUM_BIN ?? 'chromium';

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Playwright may wait for ever for a first window that is still being made.
  '--no-startup-window',
  '--remote-debugging-port=0',
];

export class Browser {
  #child;
  #connection;
  #profile;

  /** @param {...string} more arguments of Chromium's */
  static async start(...more) {
    const browser = new Browser();
    browser.#profile = await mkdtemp(join(tmpdir(), 'tailrace-chromium-'));
    const profile = `--user-data-dir=${browser.#profile}`;
    browser.#child = spawn(PROGRAM, [...ARGUMENTS, ...more, profile], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      const endpoint = await debuggingEndpoint(browser.#child);
      browser.#connection = await chromium.connectOverCDP(endpoint, { noDefaults: true });
    } catch (error) {
      await browser.stop();
      throw error;
    }
    return browser;
  }

  /** Opens a tab, which hides the one that was shown. */
  async open(url = 'about:blank') {
    const page = await this.#connection.contexts()[0].newPage();
    await page.goto(url);
    return page;
  }

  async stop() {
    const alive = this.#child.pid !== undefined && this.#child.exitCode === null;
    const exit = alive && once(this.#child, 'exit');
    await this.#connection?.close();
    this.#child.kill();
    await exit;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Chromium says on its standard error where its debugging protocol is. */
async function debuggingEndpoint(child) {
  const lines = [];
  let failure;
  child.once('error', (error) => (failure = error));
  createInterface(child.stderr).on('line', (line) => lines.push(line));
  return until('Chromium can be driven', () => {
    if (failure) throw failure;
    if (child.exitCode !== null) throw new Error(`Chromium ended: ${lines.join('\n')}`);
    return lines.map((line) => /^DevTools listening on (ws:\S+)/.exec(line)?.[1]).find(Boolean);
  });
}
