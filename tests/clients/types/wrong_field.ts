// TS2339: a token has no finish reason.
import type { components } from './api.js';

export function reason(event: components['schemas']['Event']): string {
  return event.type === 'token' ? event.finish_reason : '';
}
