/**
 * Streams an answer with Tailrace's own client in Node. It resumes by itself.
 *
 *     npm install path/to/tailrace/clients/js
 *     TOKEN=$(tailrace token) node tailrace-client.mjs "Tell me about rivers"
 *
 * SERVER_URL says where the server is, if not at http://127.0.0.1:8080.
 */

import { Tailrace, TailraceError } from 'tailrace';

const client = new Tailrace({
  baseUrl: process.env.SERVER_URL ?? 'http://127.0.0.1:8080',
  token: process.env.TOKEN,
});
const prompt = process.argv[2] ?? 'Tell me about lighthouse keepers';
const stream = client.stream({ prompt });

// The first Ctrl-C ends the generation: leaving alone would not.
process.once('SIGINT', () => stream.cancel());

try {
  for await (const event of stream) {
    if (event.type === 'token') process.stdout.write(event.text);
    if (event.type === 'error') throw new Error(event.error.message);
  }
  process.stdout.write('\n');
} catch (error) {
  // What trying again does not mend is a TailraceError, with the server's `code` and `status`.
  const code = error instanceof TailraceError ? ` (${error.code})` : '';
  console.error(`\n${error.message}${code}`);
  process.exitCode = 1;
}
