/**
 * The page that `tailrace bench --html` writes, in a real browser: it draws, asks nobody for anything, and can
 * be read in the light and in the dark.
 */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { Browser } from './support/browser.mjs';
import { Server } from './support/server.mjs';

let browser;
let server;
let directory;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-bench-'));
  [browser, server] = await Promise.all([Browser.start(), Server.start()]);
});

after(async () => {
  await Promise.all([browser?.stop(), server?.stop()]);
  await rm(directory, { recursive: true, force: true });
});

test('the report draws what was found, alone', async () => {
  const file = join(directory, 'report.html');
  const json = join(directory, 'report.json');
  const pid = ['--pid', String(process.pid)];
  const reports = ['--html', file, '--json', json];
  await server.run('bench', server.url, '--streams', '5', '--duration', '3s', ...pid, ...reports);
  const found = JSON.parse(await readFile(json, 'utf8'));

  const page = await browser.open();
  const requests = [];
  const complaints = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  const url = pathToFileURL(file).href;
  await page.goto(url);
  assert.deepEqual(requests, [url]);
  assert.deepEqual(complaints, []);

  const seen = await page.evaluate(() => {
    const boxes = [...document.querySelectorAll('figure path.line')].map((path) => path.getBBox());
    return {
      titles: [...document.querySelectorAll('figcaption')].map((it) => it.firstChild.data.trim()),
      drawn: boxes.filter((box) => box.width > 50).length,
      hints: document.querySelectorAll('figure:first-child title').length,
      text: document.body.innerText,
      wide: document.documentElement.scrollWidth <= window.innerWidth,
      scripts: document.scripts.length,
    };
  });
  for (const title of ['Tokens a second', 'First token, ms', 'Gaps, ms', 'CPU, % of a core', 'Memory, MiB']) {
    assert.ok(seen.titles.includes(title), `${title} is not among ${seen.titles}`);
  }
  assert.ok(seen.drawn >= 8, `only ${seen.drawn} lines are drawn`);
  assert.equal(seen.hints, found.timeline.length);
  assert.ok(seen.wide, 'the page is wider than the window');
  assert.equal(seen.scripts, 0);
  assert.match(seen.text, /Nothing was wrong/);
  assert.match(seen.text, new RegExp(`${found.streams.started} started, ${found.streams.finished} finished`));

  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await ground(), light);
  await page.setViewportSize({ width: 390, height: 800 });
  const narrow = await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
  assert.ok(narrow, 'on a phone the page is wider than the window');
  await page.close();
});
