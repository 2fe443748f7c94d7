/**
 * Streams an answer with a client that is generated from the server's own OpenAPI document, by
 * hey-api's generator. It resumes by itself when the connection breaks.
 *
 *     npm install @hey-api/openapi-ts typescript
 *     TOKEN=$(tailrace token) node generated-client.mjs "Tell me about rivers"
 *
 * SERVER_URL says where the server is, if not at http://127.0.0.1:8080. Node 22.18 or newer reads the
 * generated TypeScript as it is. An application would generate once, and commit `tailrace-api/`.
 */

import { createClient as generate } from '@hey-api/openapi-ts';

const server = process.env.SERVER_URL ?? 'http://127.0.0.1:8080';
const prompt = process.argv[2] ?? 'Tell me about lighthouse keepers';

await generate({
  input: `${server}/openapi.yaml`,
  output: { path: 'tailrace-api', module: { extension: '.ts' } },
  logs: { level: 'silent' },
});
const { createStream } = await import(`${process.cwd()}/tailrace-api/index.ts`);
const { createClient } = await import(`${process.cwd()}/tailrace-api/client/index.ts`);

const client = createClient({
  baseUrl: server,
  // Asked for each carrier that the document names; a request may have one.
  auth: ({ scheme }) => (scheme === 'bearer' ? process.env.TOKEN : undefined),
});

// The generated code tries again for ever, whatever the status: so what trying again does not mend
// ends it here.
let failure;
const abort = new AbortController();
async function careful(request) {
  const response = await fetch(request);
  if (response.status >= 400 && response.status < 500 && response.status !== 429) {
    failure = (await response.json()).message;
    abort.abort();
  }
  return response;
}

const { stream } = await createStream({
  client,
  body: { prompt },
  // A cut before the first event must not generate twice.
  headers: { 'Idempotency-Key': crypto.randomUUID() },
  fetch: careful,
  signal: abort.signal,
  sseMaxRetryAttempts: 6,
});
let ended = false;
for await (const event of stream) {
  if (event.type === 'token') process.stdout.write(event.text);
  if (event.type === 'error') failure = event.error.message;
  ended = event.type === 'done' || event.type === 'error';
}
process.stdout.write('\n');
if (!ended) failure ??= 'the connection broke too often';
if (failure) {
  console.error(failure);
  process.exitCode = 1;
}
