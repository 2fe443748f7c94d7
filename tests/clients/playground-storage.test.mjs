/**
 * The playground when its reader is faster than it, and when its storage is slow, full or absent: nothing
 * is done twice, and nothing that was written is lost.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';

import { until } from './support/deadline.mjs';
import { Playground } from './support/playground.mjs';

const QUICK = { 'demo.tokens_per_second': '0', 'demo.tokens': '30' };

suite('Hasty readers and bad storage in the playground', () => {
  let playground, tab;

  before(async () => {
    playground = await Playground.start();
  });

  after(() => playground?.stop());

  beforeEach(async () => {
    await tab?.close();
    tab = await playground.open({ parameters: QUICK });
  });

  /** What a page does before its own scripts run, from its next load on. */
  async function reloadWith(script) {
    await tab.page.addInitScript(script);
    await tab.page.reload();
    await tab.locator('#model:enabled').waitFor();
  }

  const created = () => {
    const all = [];
    tab.page.on('request', (request) => {
      if (request.method() === 'POST' && /\/v1\/streams$/.test(request.url())) all.push(request);
    });
    return all;
  };

  const unkept = () => tab.locator('#unkept').isVisible();

  test('“Answer again”, clicked twice, asks once', async () => {
    await tab.ask('Tell me about echoes');
    const first = await tab.expectWhole(playground.api);
    const asked = created();
    await tab.page.evaluate(() => {
      const again = document.querySelector('.answer [aria-label="Answer again"]');
      again.click();
      again.click();
    });
    await until('there is another answer', async () => (await tab.keptAnswer())?.id !== first.id);
    await tab.expectWhole(playground.api);
    assert.equal(asked.length, 1);
    assert.deepEqual((await tab.kept()).map(({ role }) => role), ['user', 'assistant']);
    assert.equal(await tab.answer.locator('.versions').innerText(), '2 / 2');
  });

  test('“Try now”, clicked twice, asks once', async () => {
    const refuse = (route) =>
      route.fulfill({
        status: 429,
        headers: { 'retry-after': '50', 'content-type': 'application/json' },
        body: '{"message":"slower","error":{"code":"rate_limited","message":"slower"}}',
      });
    await tab.page.route('**/v1/streams', refuse);
    await tab.ask('Tell me about echoes');
    await tab.notice.filter({ hasText: /Trying again in \d+ s/ }).waitFor();
    await tab.page.unroute('**/v1/streams', refuse);
    const asked = created();
    await tab.notice.getByRole('button').evaluate((button) => {
      button.click();
      button.click();
    });
    await tab.expectWhole(playground.api);
    assert.equal(asked.length, 1);
    assert.equal((await tab.kept()).length, 2);
  });

  test('a new conversation stays, when another was still being opened', async () => {
    await tab.ask('Tell me about echoes');
    await tab.expectWhole(playground.api);
    await tab.button('New conversation').first().click();
    await tab.locator('body.is-empty').waitFor();
    const opened = await tab.page.evaluate(async () => {
      document.querySelector('#conversations a').click();
      document.getElementById('new').click();
      // Whatever was asked of the storage before this has been answered when this is.
      const database = await new Promise((resolve) => {
        indexedDB.open('tailrace').onsuccess = ({ target }) => resolve(target.result);
      });
      const all = database.transaction('messages').objectStore('messages').getAll();
      await new Promise((resolve) => (all.onsuccess = resolve));
      database.close();
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      return [location.hash, document.querySelectorAll('.answer').length];
    });
    assert.deepEqual(opened, ['', 0]);
  });

  test('drawing that takes long leaves time for its reader', async () => {
    const draws = await tab.page.evaluate(async () => {
      const { drawer } = await import('/assets/src/drawing.js');
      const draws = [];
      const soon = drawer(() => {
        const began = performance.now();
        while (performance.now() - began < 80);
        draws.push([began, performance.now()]);
      });
      await new Promise((resolve) => {
        const more = setInterval(() => {
          soon();
          if (draws.length < 3) return;
          clearInterval(more);
          resolve();
        }, 5);
      });
      return draws;
    });
    for (const at of [1, 2]) assert.ok(draws[at][0] - draws[at - 1][1] >= 300, JSON.stringify(draws));
  });

  test('a storage that never answers holds up nothing', async () => {
    await tab.page.evaluate(() => {
      for (const event of ['oncomplete', 'onabort']) {
        Object.defineProperty(IDBTransaction.prototype, event, { set() {} });
      }
      Object.defineProperty(IDBRequest.prototype, 'onsuccess', { set() {} });
    });
    await tab.ask('Tell me about patience');
    await tab.locator('.prompt').filter({ hasText: 'Tell me about patience' }).waitFor();
    await tab.begun();
    await tab.ended();
    await tab.button('Send').waitFor();
  });

  test('a storage that is full is told of, and the conversation goes on', async () => {
    await tab.page.evaluate(() => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
    });
    for (const number of [1, 2]) {
      await tab.ask(`Question ${number}`);
      await tab.begun(number);
      await tab.ended();
      await tab.button('Send').waitFor();
    }
    assert.equal(await tab.locator('.prompt').count(), 2);
    assert.ok(await unkept());
    await tab.button('New conversation').first().click();
    await tab.locator('body.is-empty').waitFor();
    await tab.locator('#conversations a').filter({ hasText: 'Question 1' }).click();
    await tab.begun(2);
  });

  test('without any storage the page works for as long as it is open', async () => {
    assert.equal(await unkept(), false);
    await reloadWith(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('no', 'SecurityError');
      };
    });
    await tab.ask('Tell me about goldfish');
    await tab.begun();
    await tab.ended();
    assert.ok(await unkept());
    await tab.picture('unkept');
    await tab.locator('#conversations a').filter({ hasText: 'goldfish' }).waitFor();
  });

  test('a text that the storage has changed is noticed, and read anew from the start', async () => {
    await tab.close();
    tab = await playground.open({ parameters: { 'demo.tokens_per_second': '30', 'demo.tokens': '150' } });
    await tab.ask('Tell me about forgers');
    await tab.begun();
    await until('some of it is kept', async () => (await tab.keptAnswer())?.text.length > 20);
    const hash = await tab.page.evaluate(() => location.hash);
    // The page has gone, so that it does not write its own text over the other one.
    await tab.page.goto(`${playground.proxy.url}/assets/src/words.js`);
    await tab.page.evaluate(async (conversation) => {
      const settled = (request) => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
      const database = await settled(indexedDB.open('tailrace'));
      const store = database.transaction('messages', 'readwrite').objectStore('messages');
      const all = await settled(store.index('conversation').getAll(conversation));
      const answer = all.find(({ role }) => role === 'assistant');
      await settled(store.put({ ...answer, text: `Forged: ${answer.text}` }));
      database.close();
    }, hash.slice(1));
    await tab.page.goto(`${playground.proxy.url}/${hash}`);
    await tab.notice.filter({ hasText: 'This is not the text that the server sent.' }).waitFor();
    const { stream } = await tab.keptAnswer();
    await tab.button('Try again').click();
    const kept = await tab.expectWhole(playground.api);
    assert.equal(kept.stream, stream);
  });
});
