/**
 * The page at `/docs/` in Chromium, and the document's examples: each request is one that the
 * server answers as the document says.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, suite, test } from 'node:test';

import { until } from './support/deadline.mjs';
import { Api } from './support/api.mjs';
import { Browser } from './support/browser.mjs';
import { Server } from './support/server.mjs';

/** So fast that nothing takes long, and so slow that a stream is seen on its way. */
const CONFIGURATION = `
  [models.demo]
  generator = "demo"
  tokens_per_second = 100.0
`;

/** What is shown below an operation's button once it has been answered. */
const ANSWER = '.live-responses-table tbody .response-col_status';

suite('The API documentation', () => {
  let browser, document, server, token;

  before(async () => {
    server = await Server.start(CONFIGURATION);
    token = await server.token();
    document = await (await fetch(`${server.url}/openapi.json`)).json();
    browser = await Browser.start();
  });

  after(async () => {
    await browser?.stop();
    await server?.stop();
  });

  const operations = () =>
    Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ path, method, ...operation })),
    );

  test('every call that takes a body has examples, and every answer has one', () => {
    for (const { operationId, requestBody, responses } of operations()) {
      const contents = Object.values(responses).flatMap(({ content }) =>
        Object.values(content ?? {}),
      );
      if (requestBody) contents.push(...Object.values(requestBody.content));
      for (const { examples } of contents) {
        assert.ok(Object.keys(examples ?? {}).length > 0, operationId);
      }
    }
  });

  test('every example of a request is answered as documented, and well', async () => {
    const requests = operations().flatMap(({ path, method, requestBody, responses }) =>
      Object.entries(requestBody?.content['application/json'].examples ?? {}).map(
        ([name, { value }]) => ({ path, method, responses, name, value }),
      ),
    );
    assert.ok(requests.length >= 10);
    await Promise.all(
      requests.map(async ({ path, method, responses, name, value }) => {
        const response = await fetch(server.url + path, {
          method,
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify(value),
        });
        const body = await response.text();
        assert.equal(response.status, 200, `${path} ${name}: ${body}`);
        const kind = response.headers.get('content-type');
        assert.ok(responses[200].content[kind], `${kind} is documented`);
        const expected = name.includes('failing') ? 'event: error' : 'event: done';
        if (path === '/v1/streams') assert.ok(body.includes(expected), name);
      }),
    );
  });

  test('the page may load nothing from elsewhere, and be framed by nobody', async () => {
    for (const path of ['', 'page.js', 'page.css', 'swagger-ui-bundle.js', 'swagger-ui.css']) {
      const { status, headers } = await fetch(`${server.url}/docs/${path}`);
      assert.equal(status, 200, path);
      const policy = headers.get('content-security-policy');
      for (const part of ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'"]) {
        assert.ok(policy.includes(part), `${path}: ${policy}`);
      }
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('referrer-policy'), 'no-referrer');
    }
    const missing = await fetch(`${server.url}/docs/swagger-initializer.js`);
    assert.equal(missing.status, 404);
    assert.equal((await missing.json()).error.code, 'route_not_found');
  });

  suite('in Chromium', () => {
    let errors, foreign, page;

    async function show({ url }) {
      page = await browser.open();
      errors = [];
      foreign = [];
      page.on('pageerror', (error) => errors.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(message.text());
      });
      page.on('request', (request) => {
        const { origin, protocol } = new URL(request.url());
        if (protocol !== 'data:' && origin !== url) foreign.push(request.url());
      });
      await page.goto(`${url}/docs/`);
      await page.waitForSelector('.opblock');
    }

    afterEach(() => page.close());

    const block = (id) => page.locator(`.opblock[id$="-${id}"]`);

    async function open(id) {
      await block(id).locator('.opblock-summary-control').click();
      await block(id).locator('.execute').waitFor();
    }

    /** So that the page has less to draw for the next one. */
    async function close(id) {
      await block(id).locator('.opblock-summary-control').click();
      await block(id).locator('.execute').waitFor({ state: 'detached' });
    }

    async function answer(id) {
      const status = block(id).locator(ANSWER);
      await status.waitFor();
      return Number((await status.textContent()).trim());
    }

    function expectNoComplaints() {
      assert.deepEqual(errors, [], 'nothing was refused by the policy, or failed');
      assert.deepEqual(foreign, []);
    }

    test('in development mode every call can be made without filling in anything', async () => {
      await show(server);
      await page.locator('.authorize.locked').waitFor();
      const expected = {
        createStream: 200,
        listStreams: 200,
        getStream: 200,
        followStream: 200,
        createTicket: 201,
        cancelStream: 202,
        deleteStream: 204,
        createChatCompletion: 200,
        listModels: 200,
        getModel: 200,
        livez: 200,
        readyz: 200,
      };
      // The token of development is no operator's.
      const ids = operations()
        .map(({ operationId }) => operationId)
        .filter((id) => id !== 'watchServer');
      assert.deepEqual(ids.sort(), Object.keys(expected).sort());
      for (const [id, status] of Object.entries(expected)) {
        await open(id);
        await block(id).locator('.execute').click();
        assert.equal(await answer(id), status, id);
        await close(id);
      }
      expectNoComplaints();
    });

    test('elsewhere it takes a token; an answer is shown while it comes', async () => {
      const secret = 'a secret of at least thirty-two bytes, for tests';
      const keys = `[[auth.keys]]\nalgorithm = "HS256"\nsecret = "${secret}"`;
      const production = await Server.start(CONFIGURATION + keys);
      try {
        const token = await production.token();
        const api = new Api(production.url, token);
        await show(production);
        await page.locator('.authorize.unlocked').click();
        const dialog = page.locator('.auth-container', { hasText: 'Use this one' });
        await dialog.locator('input').fill(token);
        await dialog.locator('button[type=submit]').click();
        await dialog.locator('.btn-done').click();

        await open('createStream');
        const body = block('createStream').locator('.opblock-section-request-body');
        await body
          .locator('.examples-select select')
          .selectOption({ label: 'The demo, thinking and slow' });
        await block('createStream').locator('.execute').click();
        const shown = block('createStream').locator('.live-text');
        await until('some of it is shown', async () => (await shown.textContent()).length > 20);
        assert.equal((await api.list())[0].status, 'running');
        assert.equal(await answer('createStream'), 200);
        assert.equal(await shown.count(), 0, 'at the end there is the whole answer instead');
        const whole = await block('createStream').locator('.live-responses-table').textContent();
        assert.ok(whole.includes('event: done'));
        expectNoComplaints();
      } finally {
        await production.stop();
      }
    });
  });
});
