/**
 * The playground in Chromium when something goes wrong: what a person reads, and how it goes on.
 */

import assert from 'node:assert/strict';
import { after, afterEach, suite, test } from 'node:test';

import { Api } from './support/api.mjs';
import { until } from './support/deadline.mjs';
import { Playground } from './support/playground.mjs';

const SLOW = { 'demo.tokens_per_second': '30', 'demo.tokens': '240' };

const LIMITED = `
[limits]
default_plan = "development"
[limits.plans.development]
requests_per_minute = 15
burst = 1
streams = 10
tokens_per_minute = 1000000
`;

const PRODUCTION = `
[auth]
leeway = "0s"
[[auth.keys]]
id = "test"
algorithm = "HS256"
secret = "a secret of at least thirty-two bytes, for tests"
`;

suite('The playground in trouble', () => {
  let playground;

  afterEach(async () => {
    const started = playground;
    playground = undefined;
    await started?.stop();
  });

  after(() => playground?.stop());

  async function start(toml) {
    playground = await Playground.start(toml);
    return playground;
  }

  test('a rate limit is counted down, and then the answer comes by itself', async () => {
    const tab = await (await start(LIMITED)).open({ parameters: { 'demo.tokens_per_second': '0' } });
    await tab.ask('One');
    await tab.expectWhole(playground.api);
    await tab.ask('Two');
    await tab.notice.filter({ hasText: /^You are faster than your plan allows\. Trying again in \d s\./ }).waitFor();
    await tab.picture('rate-limit');
    assert.match(await tab.announced(), /^You are faster than your plan allows/);
    const seconds = async () => Number(/in (\d+) s/.exec(await tab.notice.innerText())?.[1] ?? 0);
    const first = await seconds();
    await until('it counts down', async () => (await seconds()) < first);
    await tab.expectWhole(playground.api);
    assert.equal(await tab.notice.isVisible(), false);
  });

  test('waiting can be cut short, or stopped', async () => {
    const tab = await (await start(LIMITED)).open({ parameters: { 'demo.tokens_per_second': '0' } });
    await tab.ask('One');
    await tab.expectWhole(playground.api);
    await tab.ask('Two');
    const before = playground.proxy.streams.length;
    await tab.button('Try now').click();
    await until('it was tried at once', () => playground.proxy.streams.length > before);
    await tab.notice.filter({ hasText: /faster than your plan/ }).waitFor();
    await tab.button('Stop the answer').click();
    await tab.ended();
    assert.match(await tab.answer.locator('.finish').innerText(), /^Stopped$/);
    await tab.button('Send').waitFor();
  });

  test('without development mode it asks for a token, and keeps it in memory', async () => {
    const tab = await (await start(PRODUCTION)).open({ ready: false });
    const sheet = tab.page.getByRole('dialog', { name: 'A token, please' });
    await sheet.waitFor();
    await tab.picture('token');
    await tab.locator('#token-text').fill('not a token');
    await tab.button('Use it').click();
    await tab.locator('#token-error').filter({ hasText: 'three parts' }).waitFor();
    await tab.locator('#token-text').fill(`Bearer ${playground.api.token}\n`);
    await tab.button('Use it').click();
    await tab.locator('#model:enabled').waitFor();
    await tab.ask('Tell me about keys');
    await tab.expectWhole(playground.api);
    const traces = await tab.page.evaluate(async () => {
      const kept = [];
      for (const { name } of await indexedDB.databases()) {
        const database = await new Promise((resolve) => {
          indexedDB.open(name).onsuccess = (event) => resolve(event.target.result);
        });
        for (const store of database.objectStoreNames) {
          const all = database.transaction(store).objectStore(store).getAll();
          await new Promise((resolve) => (all.onsuccess = resolve));
          kept.push(all.result);
        }
      }
      return JSON.stringify([kept, { ...localStorage }, { ...sessionStorage }, document.cookie]);
    });
    assert.ok(!traces.includes(playground.api.token.slice(-20)), 'the token is nowhere');
    assert.ok(traces.includes('Tell me about keys'), 'it was looked for in the right places');
  });

  test('who gives no token is told, and can give one later', async () => {
    const tab = await (await start(PRODUCTION)).open({ ready: false });
    await tab.button('Not now').click();
    await tab.ask('Tell me about keys');
    await tab.button('Not now').click();
    await tab.notice.filter({ hasText: 'There is no token.' }).waitFor();
    await tab.button('Give a token').click();
    await tab.locator('#token-text').fill(playground.api.token);
    await tab.page.keyboard.press('Enter');
    await tab.expectWhole(playground.api);
  });

  test('a token that expires in mid-stream is asked for again, and the answer goes on', async () => {
    await start(PRODUCTION);
    const tab = await playground.open({ ready: false, parameters: SLOW });
    const short = await playground.server.token('--ttl', '4s');
    await tab.locator('#token-text').fill(short);
    await tab.button('Use it').click();
    await tab.locator('#model:enabled').waitFor();
    await tab.ask('Tell me about keys');
    await tab.begun();
    const old = new Api(playground.server.url, short);
    const refused = () => old.list().then(() => false, (error) => /token_expired/.test(error.message));
    await until('the token has expired', refused);
    playground.proxy.cutNow();
    const sheet = tab.page.getByRole('dialog', { name: 'A token, please' });
    await sheet.filter({ hasText: 'has expired' }).waitFor();
    await tab.picture('token-expired');
    await tab.locator('#token-text').fill(playground.api.token);
    await tab.button('Use it').click();
    const kept = await tab.expectWhole(playground.api);
    assert.ok(kept.figures.resumes >= 1);
  });

  test('a server that is away is waited for, and the answer goes on', async () => {
    // It must not be over before the server is away, on a slow machine either.
    const tab = await (await start()).open({ parameters: { ...SLOW, 'demo.tokens': '450' } });
    await tab.ask('Tell me about storms');
    await tab.begun();
    await playground.proxy.refuse();
    await tab.badge.filter({ hasText: /^Connection lost · (back in \d+ s|reconnecting)$/ }).waitFor();
    await tab.picture('server-away');
    await playground.proxy.accept();
    const kept = await tab.expectWhole(playground.api);
    assert.ok(kept.figures.replayed > 0);
  });

  test('an answer that a restarted server has forgotten keeps what had come', async () => {
    const tab = await (await start()).open({ parameters: SLOW });
    await tab.ask('Tell me about storms');
    await tab.begun();
    await playground.server.kill();
    await playground.serve();
    playground.proxy.cutNow();
    await tab.notice.filter({ hasText: 'The server no longer knows this answer.' }).waitFor();
    await tab.picture('server-restarted');
    assert.equal(await tab.badge.isVisible(), false, 'nothing was resumed');
    await tab.ended();
    const kept = await tab.keptAnswer();
    assert.equal(kept.status, 'failed');
    assert.ok(kept.text.length > 20);
    const [heading] = kept.text.split('\n');
    assert.ok((await tab.text()).includes(heading.replace(/^#+ /, '')), 'it is still shown');
    await tab.button('Try again').click();
    await tab.begun();
    await tab.button('Stop the answer').click();
    await tab.expectWhole(playground.api);
  });

  test('a model that fails is told, with what had come, and can be asked again', async () => {
    const tab = await (await start()).open();
    await tab.page.getByRole('button', { name: /^Tell me about broken dams/ }).click();
    await tab.notice.filter({ hasText: /^The model failed\./ }).waitFor();
    await tab.picture('model-failed');
    assert.match(await tab.announced(), /^The model failed\. /);
    const kept = await tab.keptAnswer();
    assert.equal(kept.trouble.code, 'generator_error');
    assert.ok(kept.text.length > 100);
    await tab.button('Try again').click();
    await until('it was tried again', async () => (await tab.keptAnswer()).id !== kept.id);
    await tab.notice.filter({ hasText: /^The model failed\./ }).waitFor();
  });

  test('a parameter that only the server knows to be wrong is named', async () => {
    const tab = await (await start()).open({ parameters: { stop: 'x'.repeat(300) } });
    await tab.ask('Tell me about heat');
    await tab.notice.filter({ hasText: /^That did not work\. / }).waitFor();
    assert.match(await tab.notice.innerText(), /256/, 'it says what is possible');
    await tab.button('Parameters, 1 of them set').click();
    await tab.button('Back to the defaults').click();
    await tab.button('Done').click();
    const { id } = await tab.keptAnswer();
    await tab.button('Try again').click();
    await until('it was asked again', async () => (await tab.keptAnswer()).id !== id);
    await tab.expectWhole(playground.api);
    assert.equal(await tab.answer.locator('.versions').isVisible(), false, 'nothing had come to be kept');
  });

  test('when there is no server, the page says so and finds it again', async () => {
    const tab = await (await start()).open();
    await playground.proxy.refuse();
    await tab.ask('Is anybody there?');
    await tab.notice.filter({ hasText: /^Connection lost\. Trying again/ }).waitFor();
    await playground.proxy.accept();
    await tab.expectWhole(playground.api);
  });

  test('a request for a token that is lost is made again', async () => {
    await start();
    const lost = await playground.open({ ready: false });
    let asked = 0;
    await lost.page.route('**/playground/token', async (route) => {
      asked += 1;
      // The first is never answered.
      if (asked > 1) await route.continue();
    });
    await lost.page.reload();
    await lost.locator('#model:enabled').waitFor();
    assert.equal(asked, 2);
  });

  test('an answer that a proxy could not fetch is gone on with, not made again', async () => {
    const tab = await (await start()).open({ parameters: SLOW });
    await tab.ask('Tell me about storms');
    await tab.begun();
    const refuse = (route) => route.fulfill({ status: 502, headers: { 'x-should-retry': 'false' }, body: '' });
    await tab.page.route('**/events*', refuse);
    playground.proxy.cutNow();
    await tab.notice.waitFor();
    await tab.ended();
    const { stream, text } = await tab.keptAnswer();
    await tab.page.unroute('**/events*', refuse);
    await tab.button('Try again').click();
    const kept = await tab.expectWhole(playground.api);
    assert.equal(kept.stream, stream);
    assert.ok(text.length > 0 && kept.text.startsWith(text));
  });
});
