/** A model's server that answers what the last message asks for. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export const TEXT = 'Hello, wörld \u{1f600}!';

const chunk = (delta, finish_reason = null) => ({
  id: 'x',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'real',
  choices: [{ index: 0, delta, finish_reason }],
});

const call = (fragment) => chunk({ tool_calls: [{ index: 0, ...fragment }] });

export class Upstream {
  #server;
  /** What it was asked. */
  requests = [];
  /** How many clients hung up in the middle. */
  left = 0;

  static async start() {
    const upstream = new Upstream();
    upstream.#server = createServer((request, response) => upstream.#answer(request, response));
    upstream.#server.listen(0, '127.0.0.1');
    await once(upstream.#server, 'listening');
    upstream.url = `http://127.0.0.1:${upstream.#server.address().port}/v1`;
    return upstream;
  }

  async #answer(request, response) {
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString());
    this.requests.push(body);
    const { role, content } = body.messages.at(-1);
    const wanted = typeof content === 'string' ? content : (content?.[0]?.text ?? '');
    const status = Number(/^status (\d+)/.exec(wanted)?.[1] ?? 200);
    if (status !== 200) {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ error: { message: `told to answer ${status}` } }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const send = (data) => response.write(`data: ${JSON.stringify(data)}\n\n`);
    send(chunk({ role: 'assistant', content: '' }));
    if (wanted === 'for ever') {
      let open = true;
      response.on('close', () => (open = false));
      while (open) {
        send(chunk({ content: 'on and ' }));
        await sleep(20);
      }
      this.left += 1;
      return;
    }
    if (wanted === 'break') {
      send(chunk({ content: 'Half an' }));
      send({ error: { message: 'out of memory' } });
      response.end();
      return;
    }
    if (body.tools && role !== 'tool') {
      send(call({ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }));
      for (const piece of ['{"ci', 'ty":"Os', 'lo"}']) send(call({ function: { arguments: piece } }));
      send(chunk({}, 'tool_calls'));
    } else {
      send(chunk({ reasoning_content: 'Hm. ' }));
      for (const piece of ['Hello', ', ', 'wörld \u{1f600}', '!']) send(chunk({ content: piece }));
      send(chunk({}, 'stop'));
    }
    const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
    send({ ...chunk({}), choices: [], usage });
    response.end('data: [DONE]\n\n');
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
