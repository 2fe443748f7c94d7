/** The monitor's sources, against the types that they say and those of openapi.yaml. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { runPackage } from './support/command.mjs';

test('tsc finds nothing in the monitor', async () => {
  const project = join(import.meta.dirname, '../../monitor/tsconfig.json');
  const { code, output } = await runPackage('typescript/bin/tsc', ['--project', project]);
  assert.equal(code, 0, output);
});
