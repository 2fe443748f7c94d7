/**
 * A strict program on the generated types: it tells every event by its `type`, uses every field,
 * and would not compile if there were an event more.
 */

import type { components, operations, paths } from './api.js';

type Event = components['schemas']['Event'];
type Usage = components['schemas']['Usage'];

function total({ prompt_tokens, completion_tokens, total_tokens }: Usage): number {
  return Math.max(prompt_tokens + completion_tokens, total_tokens);
}

export function describe(event: Event): string {
  const place: number = event.seq;
  switch (event.type) {
    case 'start': {
      const created: Date = new Date(event.created * 1000);
      return `${place} ${event.stream} by ${event.model} at ${created.toISOString()}`;
    }
    case 'token':
    case 'reasoning':
    case 'refusal':
      return event.text.toUpperCase();
    case 'tool_call': {
      const id: string | null | undefined = event.id;
      return `${event.index.toFixed()} ${id ?? ''} ${event.name?.trim() ?? ''} ${event.arguments.trim()}`;
    }
    case 'logprobs':
      return Object.keys(event.logprobs).join();
    case 'done': {
      const first: number = event.timing.first_token_ms ?? event.timing.total_ms;
      const reason: 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'cancelled' =
        event.finish_reason;
      return `${reason} ${total(event.usage)} ${first} ${event.text_sha256.slice(0, 8)}`;
    }
    case 'error': {
      const again: boolean = event.error.retryable;
      return `${event.error.code}: ${event.error.message} ${again} ${total(event.usage)}`;
    }
    default: {
      const none: never = event;
      return none;
    }
  }
}

/** What a stream is made of, as `POST /v1/streams` and its readers have it. */
export type StreamEvent =
  operations['createStream']['responses']['200']['content']['text/event-stream'];
export type FollowedEvent =
  operations['followStream']['responses']['200']['content']['text/event-stream'];
export const same: (event: StreamEvent) => FollowedEvent = (event: Event) => event;

/** The rest of the shapes that an application handles. */
type Create = NonNullable<
  paths['/v1/streams']['post']['requestBody']
>['content']['application/json'];

export const request: Create = {
  model: 'demo',
  messages: [{ role: 'user', content: 'Tell me about lighthouse keepers' }],
  max_tokens: 100,
  temperature: 0.5,
  top_p: 1,
  stop: ['END'],
  seed: 7,
  metadata: { 'demo.tokens': '5' },
  on_disconnect: 'continue',
};

export function look(snapshot: components['schemas']['StreamSnapshot']): string {
  const status: 'running' | 'done' | 'error' = snapshot.status;
  return `${snapshot.id} ${status} ${snapshot.text ?? ''} ${snapshot.finish_reason ?? ''} ${snapshot.last_event_id}`;
}

export function page({
  events,
  last_event_id,
  closed,
}: components['schemas']['EventPage']): string {
  return `${events.map(describe).join('\n')} ${last_event_id} ${String(closed)}`;
}

export function explain(problem: components['schemas']['Problem']): string {
  return `${problem.status.toFixed()} ${problem.title}: ${problem.detail} (${problem.error.code})`;
}
