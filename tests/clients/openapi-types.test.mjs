/**
 * Types that openapi-typescript generates from openapi.yaml: right programs compile, wrong ones do
 * not. Each program stands in `types/`; the first line of a wrong one says its one error.
 */

import assert from 'node:assert/strict';
import { copyFile, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { runPackage } from './support/command.mjs';

const DOCUMENT = resolve(import.meta.dirname, '../../openapi.yaml');
const PROGRAMS = join(import.meta.dirname, 'types');

/** The generator needs the last compiler that is a library; applications use the newest. */
const COMPILERS = ['typescript', 'typescript-7'];

const programs = (await readdir(PROGRAMS)).sort();

suite('openapi-typescript on openapi.yaml', () => {
  let directory;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tailrace-types-'));
    for (const program of programs) {
      await copyFile(join(PROGRAMS, program), join(directory, program));
    }
    const types = join(directory, 'api.d.ts');
    const generated = await runPackage('openapi-typescript/bin/cli.js', [DOCUMENT, '-o', types]);
    assert.equal(generated.code, 0, generated.output);
  });

  after(() => rm(directory, { recursive: true, force: true }));

  const compile = (compiler, program) =>
    runPackage(`${compiler}/bin/tsc`, [
      '--noEmit',
      '--strict',
      '--noUncheckedIndexedAccess',
      '--exactOptionalPropertyTypes',
      // Without the DOM, which takes longer to read than all of this.
      ...'--target es2022 --lib es2022 --module nodenext'.split(' '),
      join(directory, program),
    ]);

  for (const compiler of COMPILERS) {
    for (const program of programs) {
      test(`${program} with ${compiler}`, async () => {
        const [first] = (await readFile(join(PROGRAMS, program), 'utf8')).split('\n');
        const expected = /^\/\/ (TS\d+):/.exec(first)?.[1];
        const { code, output } = await compile(compiler, program);
        if (expected) {
          assert.notEqual(code, 0, 'it must not compile');
          assert.deepEqual(output.match(/\bTS\d+\b/g), [expected], output);
        } else {
          assert.equal(code, 0, output);
        }
      });
    }
  }
});
