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

import { expectAccessible } from './support/accessible.mjs';
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
  const pid = ['--pid', String(process.pid), '--model', 'demo'];
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
    const boxes = [...document.querySelectorAll('.chart path.line')].map((path) => path.getBBox());
    return {
      titles: [...document.querySelectorAll('figcaption')].map((it) => it.firstChild.data.trim()),
      drawn: boxes.filter((box) => box.width > 50).length,
      hints: document.querySelectorAll('figure:first-child title').length,
      legends: [...document.querySelectorAll('figure')].map((it) => it.querySelectorAll('figcaption i').length),
      lines: [...document.querySelectorAll('figure')].map((it) => it.querySelectorAll('.chart path.line').length),
      top: document.querySelector('header').innerText,
      text: document.body.innerText,
      wide: document.documentElement.scrollWidth <= window.innerWidth,
      scripts: document.scripts.length,
    };
  });
  for (const title of ['Tokens a second', 'First token, ms', 'Gaps between tokens, ms', 'CPU, % of a core', 'Memory, MiB']) {
    assert.ok(seen.titles.includes(title), `${title} is not among ${seen.titles}`);
  }
  assert.ok(seen.drawn >= 8, `only ${seen.drawn} lines are drawn`);
  assert.equal(seen.hints, found.timeline.length);
  assert.ok(seen.wide, 'the page is wider than the window');
  assert.equal(seen.scripts, 0);
  assert.deepEqual(seen.legends, seen.lines, 'each line has its legend');
  // Who is sent it sees what was measured, when and how.
  const { host } = new URL(server.url);
  const said = [`Load test of ${host}`, server.url, found.written.replace('T', ' ').replace('Z', ' UTC'), 'demo'];
  for (const words of [...said, `bench ${server.url} --streams 5 --duration 3s`]) {
    assert.ok(seen.top.includes(words), `${words} is not in ${seen.top}`);
  }
  assert.ok(seen.top.includes(found.command));
  assert.match(seen.text, /Nothing was wrong/);
  assert.match(seen.text, new RegExp(`${found.streams.started} started, ${found.streams.finished} finished`));

  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.notEqual(await ground(), light);
  await page.setViewportSize({ width: 360, height: 780 });
  await page.waitForFunction(() => window.innerWidth === 360);
  await expectReadable(page);
  await expectAccessible(page, 'on a phone');
  await page.close();
});

/** Nothing is wider than the window, and what stands beside the axes is large enough and on nothing else. */
async function expectReadable(page) {
  const found = await page.evaluate(() => {
    const shown = (element) => {
      const { left, right, top, bottom, height } = element.getBoundingClientRect();
      return { left, right, top, bottom, height, size: parseFloat(getComputedStyle(element).fontSize) };
    };
    const charts = [...document.querySelectorAll('.chart')];
    return {
      wide: document.documentElement.scrollWidth,
      inSvg: document.querySelectorAll('svg text').length,
      axes: charts.flatMap((chart) =>
        ['.of-x', '.of-y'].map((axis) => [...chart.querySelectorAll(`${axis} span`)].map(shown)),
      ),
      lines: charts.map((chart) => {
        const { width, height } = chart.querySelector('svg').getBoundingClientRect();
        return { width, height };
      }),
    };
  });
  assert.ok(found.wide <= 360, `the page is ${found.wide} wide`);
  assert.equal(found.inSvg, 0, 'text of a picture would shrink with it');
  assert.ok(found.axes.length >= 10);
  for (const labels of found.axes) {
    assert.ok(labels.length >= 2, 'an axis has no two values');
    for (const { size, height, left, right } of labels) {
      assert.ok(size >= 11 && height >= 11, `letters of ${size} px, ${height} px high`);
      assert.ok(left >= 0 && right <= 360, `a label from ${left} to ${right}`);
    }
    labels.forEach((label, at) => {
      for (const other of labels.slice(at + 1)) {
        const apart =
          label.right <= other.left || other.right <= label.left || label.bottom <= other.top || other.bottom <= label.top;
        assert.ok(apart, 'two labels of an axis lie on each other');
      }
    });
  }
  for (const { width, height } of found.lines) {
    assert.ok(width > 200 && height > 150, `lines have ${width} x ${height}`);
  }
}
