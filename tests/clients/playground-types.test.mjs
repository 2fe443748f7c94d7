/** The playground's sources, against the types that they say. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { runPackage } from './support/command.mjs';

test('tsc finds nothing in the playground', async () => {
  const project = join(import.meta.dirname, '../../playground/tsconfig.json');
  const { code, output } = await runPackage('typescript/bin/tsc', ['--project', project]);
  assert.equal(code, 0, output);
});
