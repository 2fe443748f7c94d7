// TS2322: `error` is left over, so the event is not `never`.
import type { components } from './api.js';

export function text(event: components['schemas']['Event']): string {
  switch (event.type) {
    case 'start':
    case 'tool_call':
    case 'logprobs':
    case 'done':
      return '';
    case 'token':
    case 'reasoning':
    case 'refusal':
      return event.text;
    default: {
      const none: never = event;
      return none;
    }
  }
}
