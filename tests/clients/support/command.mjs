/** Runs a program of a package to its end. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';

/**
 * @param {string} program its path under `node_modules/`
 * @param {string[]} parameters
 * @returns {Promise<{ code: number, output: string }>} never rejects: the test judges
 */
export function runPackage(program, parameters) {
  const path = join(import.meta.dirname, '../node_modules', program);
  const env = {
    ...process.env,
    NO_COLOR: '1',
    REDOCLY_TELEMETRY: 'off',
    REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
  };
  return new Promise((resolve) => {
    execFile(process.execPath, [path, ...parameters], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? 1) : 0, output: `${stdout}${stderr}` });
    });
  });
}
