/**
 * Streams an answer with Vercel's AI SDK.
 *
 *     npm install ai @ai-sdk/openai-compatible
 *     TOKEN=$(tailrace token) node ai-sdk.mjs "Tell me about rivers"
 *
 * SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
 */

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { streamText } from 'ai';

const server = process.env.SERVER_URL ?? 'http://127.0.0.1:8080';
const prompt = process.argv[2] ?? 'Tell me about lighthouse keepers';
const tailrace = createOpenAICompatible({
  name: 'tailrace',
  baseURL: `${server}/v1`,
  apiKey: process.env.TOKEN,
});

// `textStream` would end without a word when the stream fails, so this reads all of its parts.
const { fullStream } = streamText({
  model: tailrace('demo'),
  prompt,
  onError() {}, // it is among the parts
});
for await (const part of fullStream) {
  if (part.type === 'text-delta') process.stdout.write(part.text);
  if (part.type === 'error') {
    const { message } = part.error.lastError ?? part.error; // what its last attempt met
    console.error(`\n${message ?? part.error}`);
    process.exitCode = 1;
  }
}
process.stdout.write('\n');
