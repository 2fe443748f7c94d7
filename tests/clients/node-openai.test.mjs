/**
 * The npm packages `openai` and `ai` (with `@ai-sdk/openai-compatible`), as they come, with a JWT as
 * their key, before a model's server of our own.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { z } from 'zod';

import { Api } from './support/api.mjs';
import { until } from './support/deadline.mjs';
import { Server } from './support/server.mjs';
import { TEXT, Upstream } from './support/upstream.mjs';

const say = (content) => ({ model: 'up', messages: [{ role: 'user', content }] });

const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
};

let upstream, server, token;

before(async () => {
  upstream = await Upstream.start();
  server = await Server.start(`
    [models.up]
    generator = "openai"
    base_url = "${upstream.url}"
    model = "real"
  `);
  token = await server.token();
});

after(async () => {
  await server?.stop();
  upstream?.stop();
});

suite('openai in Node', () => {
  let client;

  before(() => {
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: token });
  });

  test('models', async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.deepEqual(names, ['up']);
    assert.equal((await client.models.retrieve('up')).id, 'up');
    await assert.rejects(client.models.retrieve('none'), OpenAI.NotFoundError);
  });

  test('create', async () => {
    const answer = await client.chat.completions.create(say('hi'));
    assert.equal(answer.choices[0].message.content, TEXT);
    assert.equal(answer.usage.total_tokens, 7);
  });

  test('stream', async () => {
    const stream = await client.chat.completions.create({
      ...say('hi'),
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, TEXT);
    assert.equal(usage.completion_tokens, 4);
  });

  test('the stream() helper, with tools', async () => {
    const runner = client.chat.completions.stream({ ...say('weather?'), tools: [WEATHER] });
    const message = await runner.finalMessage();
    assert.equal(message.tool_calls[0].function.arguments, '{"city":"Oslo"}');
    const plain = client.chat.completions.stream(say('hi'));
    assert.equal(await plain.finalContent(), TEXT);
  });

  test('errors are typed', async () => {
    const once = client.withOptions({ maxRetries: 0 });
    const fails = (content, type) =>
      assert.rejects(once.chat.completions.create({ ...say(content), stream: true }), type);
    await fails('status 400', OpenAI.BadRequestError);
    await fails('status 429', OpenAI.RateLimitError);
    await fails('status 500', OpenAI.InternalServerError);
    const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
    await assert.rejects(async () => await stranger.models.list(), OpenAI.AuthenticationError);
  });

  test('what may pass is retried, and nothing else', async () => {
    const asked = (content) =>
      upstream.requests.filter((request) => request.messages[0].content === content).length;
    await assert.rejects(client.chat.completions.create(say('status 500 again')));
    assert.equal(asked('status 500 again'), 3);
    await assert.rejects(client.chat.completions.create(say('status 400 once')));
    assert.equal(asked('status 400 once'), 1);
  });

  test('a failure in the middle throws', async () => {
    const stream = await client.chat.completions.create({ ...say('break'), stream: true });
    let text = '';
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? '';
    }, /the upstream reported an error/);
    assert.equal(text, 'Half an');
  });

  test('abort stops the upstream', async () => {
    const before = upstream.left;
    const stream = await client.chat.completions.create({ ...say('for ever'), stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break;
    }
    stream.controller.abort();
    await until('the upstream was left', () => upstream.left === before + 1);
  });

  test('a completion that is cut is read to its end natively', async () => {
    const { data, response } = await client.chat.completions
      .create({ ...say('hi'), stream: true, on_disconnect: 'continue' })
      .withResponse();
    data.controller.abort();
    const api = new Api(server.url, token);
    const id = response.headers.get('x-stream-id');
    const snapshot = await until('it is done', async () => {
      const snapshot = await api.snapshot(id);
      return snapshot.status === 'done' && snapshot;
    });
    assert.equal(snapshot.text, TEXT);
  });
});

suite('the AI SDK', () => {
  const weather = tool({
    description: 'The weather of a city',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `rain in ${city}`,
  });
  let model;

  before(() => {
    const provider = createOpenAICompatible({
      name: 'tailrace',
      baseURL: `${server.url}/v1`,
      apiKey: token,
      includeUsage: true,
    });
    model = provider('up');
  });

  test('streamText', async () => {
    const result = streamText({ model, prompt: 'hi' });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    assert.equal(text, TEXT);
    assert.equal(await result.reasoningText, 'Hm. ');
    assert.equal(await result.finishReason, 'stop');
    assert.equal((await result.usage).totalTokens, 7);
  });

  test('tools, called and answered', async () => {
    const result = await generateText({
      model,
      prompt: 'weather?',
      tools: { weather },
      stopWhen: stepCountIs(3),
    });
    assert.equal(result.text, TEXT);
    assert.deepEqual(result.steps[0].toolCalls[0].input, { city: 'Oslo' });
    assert.equal(upstream.requests.at(-1).messages.at(-1).role, 'tool');
  });

  test('errors', async () => {
    await assert.rejects(generateText({ model, prompt: 'status 400' }), (error) => {
      assert.equal(error.statusCode, 400);
      assert.match(error.message, /told to answer 400/);
      return true;
    });
    const errors = [];
    const result = streamText({
      model,
      prompt: 'break',
      onError: ({ error }) => errors.push(error),
    });
    await result.consumeStream({ onError: () => {} });
    assert.equal(errors.length, 1);
  });
});
