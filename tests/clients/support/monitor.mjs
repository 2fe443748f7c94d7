/** The monitor in Chromium, as an operator uses it: guarded as the playground is, on a server that has a key. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { Api, demo } from './api.mjs';
import { until } from './deadline.mjs';
import { ARTEFACTS, Page, Playground } from './playground.mjs';

/** Wide limits, one narrow plan, and two models. */
export const SETTINGS = `
drain_timeout = "6s"
auth.keys = [{ id = "test", algorithm = "HS256", secret = "a secret of at least thirty-two bytes, for tests" }]
default_model = "demo"
models.demo = { generator = "demo", tokens_per_second = 40.0, first_token_delay_ms = 120 }
models.slow = { generator = "demo", tokens_per_second = 4.0, first_token_delay_ms = 900 }
[limits.plans.default]
requests_per_minute = 60000
burst = 1000
streams = 1000
tokens_per_minute = 100000000
[limits.plans.small]
requests_per_minute = 1
burst = 1
streams = 1
tokens_per_minute = 100000
[limits.plans.team]
requests_per_minute = 60000
burst = 1000
streams = 1000
tokens_per_minute = 100000000
`;

/** A node on this Redis. */
export function onRedis(port) {
  return `
store = "redis"
redis.url = "redis://127.0.0.1:${port}/"
${SETTINGS}`;
}

/** An answer that does not end by itself while a test looks. */
const LONG = { tokens: 100_000 };

export class Monitor extends Playground {
  /** @type {AbortController} */
  #readers = new AbortController();

  operator() {
    return this.server.token('--scope', 'tailrace:admin');
  }

  /** Somebody's own access. */
  async as(sub, plan = 'default') {
    return new Api(this.server.url, await this.server.token('--sub', sub, '--plan', plan));
  }

  /** Starts a long answer of somebody, with so many who read it; its id. */
  async stream({ sub = 'ann', plan = 'default', model = 'demo', readers = 1, ...knobs } = {}) {
    const api = await this.as(sub, plan);
    const { id } = await api.create({ ...demo({ ...LONG, ...knobs }), model, on_disconnect: 'continue' });
    for (let reader = 0; reader < readers; reader += 1) void this.#read(api, id);
    return id;
  }

  async #read(api, id) {
    const headers = { authorization: `Bearer ${api.token}` };
    const { signal } = this.#readers;
    try {
      const response = await fetch(`${api.url}/v1/streams/${id}/events`, { headers, signal });
      for await (const _ of response.body);
    } catch {
      // Its stream was cut with its server, or the test is over.
    }
  }

  /**
   * Opens the page, with a token if one is given.
   *
   * @param {string} [token]
   */
  async watch(token) {
    const hash = token === undefined ? 'monitor' : `monitor#token=${token}`;
    const { page, origin } = await this.open({ hash, ready: false });
    return new MonitorPage(page, origin);
  }

  async stop() {
    this.#readers.abort();
    await super.stop();
  }
}

export class MonitorPage extends Page {
  row(id) {
    return this.page.locator(`#stream-${id}`);
  }

  /** Waits until the page shows how the server stands. */
  async shows(state) {
    await this.page.locator('#state').filter({ hasText: state }).waitFor();
  }

  /** Waits until something is shown of this element that fits. */
  async reads(selector, pattern) {
    const found = this.page.locator(selector).first();
    await until(`${selector} is ${pattern}`, async () => pattern.test(await found.innerText()));
  }

  /** Which of the page's colours the figures, marks and buttons of the board have: `faint` alone if it is old. */
  colours() {
    return this.page.evaluate(() => {
      const names = ['text', 'soft', 'faint', 'accent', 'warning', 'error'];
      const probe = document.body.appendChild(document.createElement('i'));
      const known = Object.fromEntries(names.map((name) => [((probe.style.color = `var(--${name})`), getComputedStyle(probe).color), name]));
      probe.remove();
      const shown = document.querySelectorAll('#board > :not(.banner) :is(h2, dd, td, tbody th, .line, .stop, .attention a)');
      const found = [...shown].filter((it) => it.checkVisibility()).map((it) => getComputedStyle(it)[it.matches('.line') ? 'stroke' : 'color']);
      return [...new Set(found.map((colour) => known[colour] ?? colour))];
    });
  }

  async give(token) {
    await this.page.locator('#gate-token').fill(token);
    await this.button('Watch').click();
  }

  /** What of these elements does not fit into its place, or the page. */
  cutOff(selector) {
    return this.page.evaluate(
      (selector) =>
        [...document.querySelectorAll(selector)]
          .filter((it) => it.scrollWidth > it.clientWidth || it.getBoundingClientRect().right > innerWidth)
          .map((it) => it.textContent),
      selector,
    );
  }

  /** The texts of a column, from top to bottom. */
  column(look) {
    return this.page.locator(`#streams-body .${look}`).allInnerTexts();
  }

  async picture(name, options = {}) {
    await mkdir(ARTEFACTS, { recursive: true });
    const path = join(ARTEFACTS, `monitor-${name}.png`);
    await this.page.screenshot({ path, ...options });
    return path;
  }
}
