/**
 * Every file of `examples/`, copied and run as its head says: that it shows an answer as it comes,
 * goes on after cuts where it claims to, and says what was wrong.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { build } from 'esbuild';

import { Api } from './support/api.mjs';
import { Browser } from './support/browser.mjs';
import { stays, until } from './support/deadline.mjs';
import { Files } from './support/files.mjs';
import { CuttingProxy } from './support/proxy.mjs';
import { Server } from './support/server.mjs';

const ROOT = join(import.meta.dirname, '../..');
const EXAMPLES = join(ROOT, 'examples');
const PACKAGES = join(import.meta.dirname, 'node_modules');

const NODE = process.execPath;
const PYTHON = join(import.meta.dirname, '.venv/bin/python');

/** What runs each, and whether it goes on after a cut. */
const PROGRAMS = {
  'ai-sdk.mjs': { program: NODE, resumes: false },
  // It posts first, and reads then.
  'curl.sh': { program: 'bash', resumes: true, calls: 1 },
  'generated-client.mjs': { program: NODE, resumes: true },
  'httpx_sse_client.py': { program: PYTHON, resumes: true },
  'langchain_chat.py': { program: PYTHON, resumes: false },
  'openai-sdk.mjs': { program: NODE, resumes: false },
  'openai_sdk.py': { program: PYTHON, resumes: false },
  'tailrace-client.mjs': { program: NODE, resumes: true },
};

/** All of them resume. */
const PAGES = {
  'eventsource.html': { calls: 1 },
  'fetch-event-source.html': {},
  'tailrace-client.html': {},
};

/** In the middle of an event, and between two. */
const CUTS = [{ match: /"seq":30,"te/ }, { match: /"seq":60,[^\n]*\n/, reset: true }];

/** How long to watch that a page does not connect again after the end; it would after two seconds. */
const QUIET_MS = 2500;

const demo = (more) => `[models.demo]\ngenerator = "demo"\ntokens_per_second = 100.0\n${more}`;

const cuts = ({ calls = 0 }) => [...Array(calls).fill({ bytes: Infinity }), ...CUTS];

suite('The examples', { concurrency: 3 }, () => {
  let failing, files, server;

  before(async () => {
    files = await Files.start(EXAMPLES);
    const origins = `allowed_origins = ["${files.origin}"]\n`;
    server = await Server.start(origins + demo(''));
    failing = await Server.start(origins + demo('fail_after = 5'));
  });

  after(async () => {
    await server?.stop();
    await failing?.stop();
    await files?.stop();
  });

  /** A person of their own, so that tests at the same time do not see each other's streams. */
  async function person(name) {
    const token = await server.token('--sub', name);
    return { token, api: new Api(server.url, token) };
  }

  async function behindProxy(run) {
    const proxy = await CuttingProxy.start();
    proxy.lead(server.port);
    try {
      await run(proxy);
    } finally {
      await proxy.stop();
    }
  }

  /** The one stream there is, with its text. */
  async function onlyStream(api) {
    const streams = await api.list();
    assert.equal(streams.length, 1, 'one stream, generated once');
    return api.snapshot(streams[0].id);
  }

  /** What the server says to a token that is none. */
  async function refusal() {
    const headers = { authorization: 'Bearer nonsense' };
    const response = await fetch(`${server.url}/v1/models`, { headers });
    return (await response.json()).message;
  }

  test('each has its test', async () => {
    const tested = [...Object.keys(PROGRAMS), ...Object.keys(PAGES)];
    assert.deepEqual((await readdir(EXAMPLES)).sort(), tested.sort());
  });

  test('docs/clients.md names each, and the versions that are tested', async () => {
    const document = await readFile(join(ROOT, 'docs/clients.md'), 'utf8');
    const row = (file) =>
      document.split('\n').find((line) => line.startsWith('|') && line.includes(`/${file})`));
    const npm = JSON.parse(await readFile(join(import.meta.dirname, 'package.json'), 'utf8'));
    const pip = await readFile(join(import.meta.dirname, 'python/requirements.txt'), 'utf8');
    const python = Object.fromEntries(pip.split('\n').map((line) => line.split('==')));
    const own = JSON.parse(await readFile(join(ROOT, 'clients/js/package.json'), 'utf8'));
    for (const [file, versions] of Object.entries({
      'ai-sdk.mjs': [npm.devDependencies.ai, npm.devDependencies['@ai-sdk/openai-compatible']],
      'curl.sh': [],
      'eventsource.html': [],
      'fetch-event-source.html': [npm.devDependencies['@microsoft/fetch-event-source']],
      'generated-client.mjs': [npm.devDependencies['@hey-api/openapi-ts']],
      'httpx_sse_client.py': [python['httpx-sse'], python.httpx],
      'langchain_chat.py': [python['langchain-openai']],
      'openai-sdk.mjs': [npm.devDependencies.openai],
      'openai_sdk.py': [python.openai],
      'tailrace-client.html': [own.version],
      'tailrace-client.mjs': [own.version],
    })) {
      assert.ok(row(file), file);
      for (const version of versions) {
        assert.match(version, /^\d+\.\d+\.\d+$/);
        assert.ok(row(file).includes(version), `${file}: ${version}`);
      }
    }
  });

  test('tailrace-client.mjs ends the generation at the first Ctrl-C', async () => {
    const { token, api } = await person('interrupting');
    let asked = false;
    const { code, errors } = await run(NODE, 'tailrace-client.mjs', server.url, token, (child) => {
      asked ||= child.kill('SIGINT');
    });
    assert.equal(errors, '');
    assert.equal(code, 0);
    assert.equal((await onlyStream(api)).finish_reason, 'cancelled');
  });

  for (const [file, { program, resumes, calls }] of Object.entries(PROGRAMS)) {
    suite(file, () => {
      test('shows an answer while it comes', async () => {
        const { token, api } = await person(`streaming ${file}`);
        let running;
        const { code, output, errors } = await run(program, file, server.url, token, () => {
          running ??= api.list();
        });
        assert.equal(errors, '');
        assert.equal(code, 0);
        assert.equal((await running)[0].status, 'running');
        assert.equal(output, `${(await onlyStream(api)).text}\n`);
      });

      if (resumes) {
        test('goes on after cuts', () =>
          behindProxy(async (proxy) => {
            const { token, api } = await person(`cut ${file}`);
            proxy.plan(...cuts({ calls }));
            const { code, output } = await run(program, file, proxy.url, token);
            assert.equal(code, 0);
            assert.equal(proxy.cutsMade, CUTS.length);
            assert.equal(output, `${(await onlyStream(api)).text}\n`);
          }));
      }

      test('says why it was refused', async () => {
        const { code, output, errors } = await run(program, file, server.url, 'nonsense');
        assert.equal(code, 1, errors);
        assert.ok(errors.includes(await refusal()), errors);
        assert.equal(output.trim(), '');
      });

      test('says why the model failed', async () => {
        const token = await failing.token();
        const { code, errors } = await run(program, file, failing.url, token);
        assert.equal(code, 1);
        assert.ok(errors.includes('the demo was told to fail here'), errors);
      });
    });
  }

  // One after the other: tabs of one window hide each other.
  suite('in Chromium, on a page of another origin', { concurrency: 1 }, () => {
    let browser, libraries;

    before(async () => {
      browser = await Browser.start();
      libraries = await bundle('@microsoft/fetch-event-source');
    });

    after(() => browser?.stop());

    /** Fills in the form and sends it; answers with how to read what is shown. */
    async function send(file, url, token) {
      const page = await browser.open();
      const errors = [];
      page.on('pageerror', (error) => errors.push(error));
      // The same version of the same package, from here.
      await page.route('https://cdn.jsdelivr.net/**', (route) => {
        const body = libraries[new URL(route.request().url()).pathname];
        return body ? route.fulfill({ contentType: 'text/javascript', body }) : route.abort();
      });
      await page.goto(`${files.origin}/${file}`);
      await page.fill('[name=server]', url);
      await page.fill('[name=token]', token);
      await page.click('button');
      const show = (id) => page.locator(`#${id}`).textContent();
      const ended = () =>
        until('it has ended', async () => {
          assert.deepEqual(errors, []);
          const status = await show('status');
          return status !== 'streaming' && status;
        });
      return { page, ended, output: () => show('output') };
    }

    for (const [file, { calls }] of Object.entries(PAGES)) {
      test(`${file} shows an answer while it comes, and goes on after cuts`, () =>
        behindProxy(async (proxy) => {
          const { token, api } = await person(file);
          proxy.plan(...cuts({ calls }));
          const { page, ended, output } = await send(file, proxy.url, token);
          await until('some of it is shown', async () => (await output()).length > 0);
          assert.equal((await api.list())[0].status, 'running');
          assert.equal(await ended(), 'done');
          assert.equal(await output(), (await onlyStream(api)).text);
          assert.equal(proxy.cutsMade, CUTS.length);
          const count = proxy.requests.length;
          await stays('no request', () => proxy.requests.length === count, QUIET_MS);
          await page.close();
        }));

      test(`${file} says why it was refused, and why the model failed`, async () => {
        const refused = await send(file, server.url, 'nonsense');
        assert.equal(await refused.ended(), await refusal());
        await refused.page.close();
        const failed = await send(file, failing.url, await failing.token());
        assert.equal(await failed.ended(), 'the demo was told to fail here');
        await failed.page.close();
      });
    }
  });
});

/**
 * Copies an example somewhere with the packages that its head wants, and runs it there.
 *
 * @param {(child: import('node:child_process').ChildProcess) => void} [onOutput] called when it has
 *   printed something
 */
async function run(program, file, url, token, onOutput = () => {}) {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-example-'));
  try {
    await copyFile(join(EXAMPLES, file), join(directory, file));
    if (file.endsWith('.mjs')) await install(directory);
    const child = spawn(program, [file, 'Tell me about rivers'], {
      cwd: directory,
      env: { ...process.env, SERVER_URL: url, TOKEN: token, NODE_NO_WARNINGS: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text;
      onOutput(child);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text));
    const code = await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, output, errors };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What `npm install` of an example's head gives. */
async function install(directory) {
  const modules = join(directory, 'node_modules');
  await mkdir(modules);
  for (const name of await readdir(PACKAGES)) {
    if (!name.startsWith('.')) await symlink(join(PACKAGES, name), join(modules, name));
  }
  await symlink(join(ROOT, 'clients/js'), join(modules, 'tailrace'));
}

/** A package as the content delivery network of the examples has it, by its path there. */
async function bundle(name) {
  const { outputFiles } = await build({
    entryPoints: [name],
    absWorkingDir: import.meta.dirname,
    bundle: true,
    format: 'esm',
    write: false,
  });
  const entry = await readFile(join(dirname(PACKAGES), 'package.json'), 'utf8');
  const version = JSON.parse(entry).devDependencies[name];
  return { [`/npm/${name}@${version}/+esm`]: outputFiles[0].text };
}
