/**
 * Redocly's linter on both forms of the OpenAPI document: the file that generators use, and the
 * form that the server serves for validators.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { runPackage } from './support/command.mjs';
import { Server } from './support/server.mjs';

const DOCUMENT = resolve(import.meta.dirname, '../../openapi.yaml');
const RULES = join(import.meta.dirname, 'redocly.yaml');

suite('Redocly on the OpenAPI document', () => {
  let directory, server;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tailrace-lint-'));
    server = await Server.start();
  });

  after(async () => {
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  async function expectClean(document) {
    const { code, output } = await runPackage('@redocly/cli/bin/cli.js', [
      'lint',
      document,
      `--config=${RULES}`,
      '--format=codeframe',
    ]);
    assert.equal(code, 0, output);
  }

  test('openapi.yaml (3.1) has neither errors nor warnings', () => expectClean(DOCUMENT));

  for (const name of ['openapi.json', 'openapi-3.2.json', 'openapi.yaml']) {
    test(`/${name} has neither errors nor warnings`, async () => {
      const response = await fetch(`${server.url}/${name}`);
      assert.equal(response.status, 200);
      const copy = join(directory, name);
      await writeFile(copy, await response.text());
      await expectClean(copy);
    });
  }
});
