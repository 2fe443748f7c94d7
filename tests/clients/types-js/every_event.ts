/** A strict program on the package's types: `switch` tells events apart, and every option is there. */

import { stream, Tailrace, TailraceError } from 'tailrace';
import type { ConnectionState, CreateStream, Event, StreamSnapshot, TokenSource } from 'tailrace';

function show(event: Event): string {
  switch (event.type) {
    case 'start':
      return `${event.stream} ${event.model}`;
    case 'token':
    case 'reasoning':
    case 'refusal':
      return event.text;
    case 'tool_call':
      return `${event.index} ${event.arguments}`;
    case 'logprobs':
      return Object.keys(event.logprobs).join();
    case 'done':
      return `${event.finish_reason} ${event.usage.total_tokens} ${event.text_sha256}`;
    case 'error':
      return `${event.error.code} ${event.error.retryable}`;
    default: {
      const nothing: never = event;
      return nothing;
    }
  }
}

export async function main(token: TokenSource, signal: AbortSignal | undefined): Promise<string> {
  const client = new Tailrace({ baseUrl: '', token, share: true, retry: { attempts: 3 } });
  const request: CreateStream = { messages: [{ role: 'user', content: 'Hi' }], temperature: 1 };
  const onConnection = ({ state, retryInMs, error, replayed }: ConnectionState): void => {
    if (state === 'waiting') console.log(retryInMs, error?.code, replayed);
  };
  const answer = client.stream(request, { signal, onConnection, idempotencyKey: 'k' });
  let text = '';
  try {
    for await (const event of answer) {
      text += show(event);
      if (event.type === 'token' && event.seq > 5) {
        const snapshot: StreamSnapshot | undefined = await answer.cancel();
        text += snapshot?.status;
      }
    }
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    const status: number | undefined = error.status;
    text += error.code + status + error.problem?.title;
  }
  const id: string | undefined = answer.id;
  if (id) for await (const event of client.follow(id, { share: false })) text += show(event);
  if (id) for await (const event of client.eventSource(id)) text += show(event);
  for await (const event of stream({ baseUrl: 'http://a', token: 't', prompt: 'Hi' })) text += show(event);
  const { streams } = await client.list({ status: 'done', limit: 5 });
  const { url } = await client.ticket(streams[0]?.id ?? '');
  const models = (await client.models()).data.map((model) => model.id);
  await client.delete('s');
  return (await client.text({ prompt: 'Hi' }, { signal })) + url + models.join();
}

declare const console: { log(...values: unknown[]): void };
