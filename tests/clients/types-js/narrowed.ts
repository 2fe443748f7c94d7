// TS2339: a token has no finish reason.
import type { Event } from 'tailrace';

export function reason(event: Event): string {
  return event.type === 'token' ? event.finish_reason : '';
}
