/**
 * The README's JavaScript, run as it stands there. It is given what it takes for granted: `token`,
 * in a page also `output`, and another address.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';

import { build } from 'esbuild';

import { stays, until } from './support/deadline.mjs';
import { snippet } from './support/readme.mjs';
import { Stage } from './support/stage.mjs';

/** How long to watch that a client does not come back; it would after a second. */
const QUIET_MS = 1500;

const DEMO = '[models.demo]\ngenerator = "demo"\ntokens_per_second = 100.0';

suite("the README's JavaScript", () => {
  let page, stage;

  before(async () => {
    stage = await Stage.start('eventsource.js', DEMO);
  });

  after(() => stage?.stop());

  /** Waits until the only stream has ended, and erases it; its snapshot. */
  async function ended() {
    const snapshot = await until('a stream has ended', async () => {
      const [stream, ...others] = await stage.api.list();
      assert.equal(others.length, 0, 'one stream, generated once');
      return stream?.status === 'done' && stage.api.snapshot(stream.id);
    });
    await stage.api.delete(snapshot.id);
    assert.equal(snapshot.finish_reason, 'stop');
    assert.ok(snapshot.text.length > 100);
    return snapshot;
  }

  suite('in a browser', () => {
    beforeEach(async () => {
      page = await stage.openPage();
      await page.evaluate((token) => {
        window.token = token;
        window.output = document.body.appendChild(document.createElement('pre'));
      }, stage.token);
    });

    /** Two cuts of connections, between two events and in the middle of one. */
    const CUTS = [{ match: /id: \w+\.30\n\n/, reset: true }, { match: /"seq":60,"te/ }];

    /** Bundles the snippet as an application would, runs it, and reads what it shows. */
    async function run(heading, cuts) {
      stage.proxy.plan(...cuts);
      const contents = await snippet(heading, 'js', stage.proxy.url);
      const { outputFiles } = await build({
        stdin: { contents, resolveDir: import.meta.dirname },
        bundle: true,
        format: 'esm',
        target: 'es2022',
        write: false,
      });
      const errors = [];
      page.on('pageerror', (error) => errors.push(error));
      await page.addScriptTag({ content: outputFiles[0].text, type: 'module' });
      const text = () => page.evaluate(() => window.output.textContent);
      await until('the end is shown', async () => {
        assert.deepEqual(errors, []);
        const [stream] = await stage.api.list();
        if (stream?.status !== 'done') return false;
        return (await stage.api.snapshot(stream.id)).text.length <= (await text()).length;
      });
      const count = stage.proxy.requests.length;
      await stays('no further request', () => stage.proxy.requests.length === count, QUIET_MS);
      assert.equal(stage.proxy.cutsMade, CUTS.length);
      assert.equal(await text(), (await ended()).text, 'nothing lost, nothing doubled');
      assert.deepEqual(errors, []);
      await page.close();
    }

    test('with our own client', () => run('In a browser', CUTS));
  });
});
