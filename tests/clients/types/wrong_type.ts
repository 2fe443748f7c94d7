// TS2367: there is no event of that type.
import type { components } from './api.js';

export function isDelta(event: components['schemas']['Event']): boolean {
  return event.type === 'delta';
}
