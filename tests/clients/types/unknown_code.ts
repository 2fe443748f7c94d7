// TS2367: the codes of failures are listed.
import type { components } from './api.js';

export function isMine(failure: components['schemas']['Failure']): boolean {
  return failure.code === 'out_of_cheese';
}
