/**
 * The playground in Chromium: a server behind a proxy that can cut, and the page as a person uses it.
 *
 * Whatever else a test is about, no page may have broken its Content-Security-Policy, spoken to another
 * host, opened a dialog or logged an error: `stop` fails if one has.
 */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { Api } from './api.mjs';
import { Browser } from './browser.mjs';
import { until } from './deadline.mjs';
import { CuttingProxy } from './proxy.mjs';
import { Server } from './server.mjs';

/** Where pictures are kept, to be looked at. */
export const ARTEFACTS = resolve(
  process.env.ARTEFACTS ?? join(import.meta.dirname, '../artefacts'),
);

/** What Chromium logs of an answer that is an error. It is no fault of the page's. */
const ANSWERED = /^Failed to load resource: (the server responded with a status of|net::ERR_)/;

export class Playground {
  #parts = [];
  /** What a page must not do. */
  breaches = [];
  /** Whether the test itself does what the policy forbids, and wants no reports of it. */
  provoking = false;

  /** @param {string} [toml] the server's configuration */
  static async start(toml = '') {
    const playground = new this();
    try {
      playground.proxy = await playground.#keep(CuttingProxy.start());
      await playground.serve(toml);
      playground.browser = await playground.#keep(Browser.start());
    } catch (error) {
      await playground.stop();
      throw error;
    }
    return playground;
  }

  async #keep(starting) {
    const part = await starting;
    this.#parts.push(part);
    return part;
  }

  /** @param {string} breach */
  #note(breach) {
    const report = /^policy: |Content Security Policy|requires 'Trusted/i.test(breach);
    if (!(report && this.provoking)) this.breaches.push(breach);
  }

  /** Starts a server, another one if there was one, behind the same address. */
  async serve(toml = '', port = 0) {
    this.server = await this.#keep(Server.start(toml, port));
    this.proxy.lead(this.server.port);
    this.api = new Api(this.server.url, await this.server.token());
  }

  /**
   * Opens the page in a new tab.
   *
   * @param {object} [options]
   * @param {Record<string, string>} [options.parameters] as a person has set them before
   * @param {string} [options.hash] the conversation
   * @param {boolean} [options.ready] whether to wait until the models are known
   */
  async open({ parameters = {}, hash = '', ready = true } = {}) {
    const page = await this.browser.open('about:blank');
    await page.setViewportSize({ width: 1280, height: 800 });
    page.on('dialog', (dialog) => this.#note(`dialog: ${dialog.message()}`));
    page.on('pageerror', (error) => this.#note(`error: ${error.stack}`));
    page.on('request', (request) => {
      const { protocol, origin } = new URL(request.url());
      const own = origin === this.proxy.url || protocol === 'data:' || protocol === 'blob:';
      if (!own) this.#note(`request: ${request.url()}`);
    });
    page.on('console', (message) => {
      const wrong = message.type() === 'error' && !ANSWERED.test(message.text());
      if (wrong) this.#note(`console: ${message.text()}`);
    });
    await page.exposeBinding('reportBreach', (_, text) => this.#note(`policy: ${text}`));
    await page.addInitScript((kept) => {
      document.addEventListener('securitypolicyviolation', (event) =>
        window.reportBreach(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
      );
      if (location.protocol !== 'http:') return;
      localStorage.setItem('tailrace.parameters', kept);
      localStorage.removeItem('tailrace.model');
    }, JSON.stringify(parameters));
    await page.goto(`${this.proxy.url}/${hash}`);
    if (ready) await page.locator('#model:enabled').waitFor();
    return new Page(page, this.proxy.url);
  }

  /** Stops what was started, the last first. */
  async stop() {
    for (const part of this.#parts.reverse()) await part.stop();
    assert.deepEqual(this.breaches, [], 'no page did what it must not do');
  }
}

/** The page as a person uses it. */
export class Page {
  constructor(page, origin) {
    this.page = page;
    this.origin = origin;
    this.answer = page.locator('.answer').last();
    this.notice = this.answer.locator('.notice');
    this.badge = this.answer.locator('.link-badge');
  }

  locator(selector) {
    return this.page.locator(selector);
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  async ask(text) {
    await this.page.locator('#prompt').fill(text);
    await this.page.locator('#prompt').press('Enter');
  }

  /** Waits until so many answers are there, and the last has begun to say something. */
  async begun(answers = 1) {
    await until('the answer has begun', () =>
      this.page.evaluate(
        (answers) =>
          document.querySelectorAll('.answer').length === answers &&
          [...document.querySelectorAll('.answer .prose')].at(-1).textContent.length > 20,
        answers,
      ),
    );
  }

  /** Waits until the last answer has ended. */
  async ended() {
    await until('the answer has ended', () =>
      this.page.evaluate(() => {
        const last = [...document.querySelectorAll('.answer')].at(-1);
        return last?.getAttribute('aria-busy') === 'false';
      }),
    );
  }

  /** The conversation that is shown, as the browser keeps it: the messages that are shown, in their order. */
  kept() {
    return this.page.evaluate(async () => {
      const settled = (request) =>
        new Promise((resolve, reject) => {
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
      const database = await settled(indexedDB.open('tailrace'));
      const messages = database.transaction('messages').objectStore('messages');
      const all = await settled(messages.index('conversation').getAll(location.hash.slice(1)));
      database.close();
      const { placed, shownOf } = await import('/assets/src/branches.js');
      return shownOf(placed(all));
    });
  }

  /** The last answer as the browser keeps it. */
  async keptAnswer() {
    return (await this.kept()).at(-1);
  }

  /** The text of the last answer, as it is shown. */
  text() {
    return this.answer.locator('.prose').innerText();
  }

  /** What was said to who cannot see it. */
  announced() {
    return this.page.locator('#announcer').innerText();
  }

  /**
   * The last answer has ended well and is what the server has: shown, and kept.
   *
   * @param {Api} api
   */
  async expectWhole(api) {
    const kept = await until('it is written down', async () => {
      const answer = await this.keptAnswer();
      return answer?.status && answer.status !== 'running' && answer;
    });
    await this.page.locator(`.answer[data-id="${kept.id}"][aria-busy=false]`).waitFor();
    const snapshot = await api.snapshot(kept.stream);
    assert.equal(kept.status, 'done', JSON.stringify(kept.trouble));
    assert.equal(kept.text, snapshot.text);
    assert.equal(kept.figures.lost, 0);
    assert.equal(`${kept.stream}.${kept.seq}`, snapshot.last_event_id);
    // Every word is there; Markdown's own characters, and the numbers of its lists, are not.
    const words = (text) => text.replace(/^\d+\. |[^\p{L}\p{N}]+/gu, ' ').trim();
    const shown = words(await this.text());
    for (const line of snapshot.text.split('\n').map(words)) {
      assert.ok(shown.includes(line), `${JSON.stringify(line)} is shown`);
    }
    return kept;
  }

  /**
   * Keeps a picture.
   *
   * @param {string} name
   * @param {string} [to] another place
   */
  async picture(name) {
    await mkdir(ARTEFACTS, { recursive: true });
    const path = join(ARTEFACTS, `playground-${name}.png`);
    await this.page.screenshot({ path });
    return path;
  }

  close() {
    return this.page.close();
  }
}
