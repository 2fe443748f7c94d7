// TS2353: the server refuses unknown fields, and so do the types.
import type { components } from './api.js';

export const request: components['schemas']['CreateStream'] = { prompt: 'Hello', stream: true };
