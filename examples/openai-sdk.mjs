/**
 * Streams an answer with OpenAI's SDK for Node, as it comes.
 *
 *     npm install openai
 *     TOKEN=$(tailrace token) node openai-sdk.mjs "Tell me about rivers"
 *
 * SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
 */

import OpenAI from 'openai';

const server = process.env.SERVER_URL ?? 'http://127.0.0.1:8080';
const prompt = process.argv[2] ?? 'Tell me about lighthouse keepers';
const client = new OpenAI({ baseURL: `${server}/v1`, apiKey: process.env.TOKEN });

try {
  // The SDK repeats a request that was refused with 429 or 5xx, and waits as long as the server says.
  const stream = await client.chat.completions.create({
    model: 'demo',
    messages: [{ role: 'user', content: prompt }],
    stream: true,
  });
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');
  process.stdout.write('\n');
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  // Refused, or failed in the middle: then there is no status.
  console.error(`\n${error.error?.message ?? error.message}`);
  process.exitCode = 1;
}
