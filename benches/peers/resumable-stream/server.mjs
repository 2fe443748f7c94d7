// Serves streams of tokens at a model's pace through the npm package resumable-stream, used as its
// README says ("Idempotent API"), for `cargo bench --bench load -- cluster`. Without REDIS_URL the same
// streams are served without it. The paths and events are those of Tailrace, so that one client reads both.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createResumableStreamContext } from "resumable-stream";

const period = 1000 / Number(process.env.TOKENS_PER_SECOND);
const context = process.env.REDIS_URL
  // This process lives on whatever becomes of a request, so there is nothing to keep it alive for.
  ? createResumableStreamContext({ waitUntil: () => {} })
  : undefined;

// The clock that tells fractions has an origin of its own: where it is shows when a millisecond begins.
const began = Date.now();
while (Date.now() === began);
const origin = Date.now() - performance.now();

// The time in microseconds, as five digits to the base 64 (see stamp.rs).
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
function stamp() {
  let left = Math.floor((origin + performance.now()) * 1000) % 2 ** 30;
  let text = "";
  for (let digit = 0; digit < 5; digit++) {
    text = digits[left & 63] + text;
    left >>>= 6;
  }
  return text;
}

// A stream of events that never ends. A timer that comes late does not put off the next one.
function tokens(id) {
  let timer;
  return new ReadableStream({
    start(controller) {
      let seq = 0;
      let due = performance.now();
      const next = () => {
        seq += 1;
        controller.enqueue(
          `data: {"type":"token","seq":${seq},"text":" @${stamp()}"}\nevent: token\nid: ${id}.${seq}\n\n`,
        );
        due += period;
        timer = setTimeout(next, due - performance.now());
      };
      controller.enqueue(
        `data: {"type":"start","seq":0,"stream":"${id}"}\nevent: start\nid: ${id}.0\n\n`,
      );
      timer = setTimeout(next, period);
    },
    cancel() {
      clearTimeout(timer);
    },
  });
}

// The stream from this character on. A producer that is too busy to answer a new reader within a second is
// asked again, as a client would.
async function open(id, characters) {
  const make = () => tokens(id);
  if (!context) return make();
  for (;;) {
    try {
      return await context.resumableStream(id, make, characters);
    } catch (error) {
      if (!isTimeout(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

function isTimeout(error) {
  return /Timeout waiting for ack/.test(error);
}

async function serve(id, response) {
  let reader = (await open(id)).getReader();
  let characters = 0;
  response.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Stream-Id": id,
  });
  response.on("close", () => reader.cancel());
  for (;;) {
    try {
      const { done, value } = await reader.read();
      if (done) break;
      characters += value.length;
      response.write(value);
    } catch (error) {
      // This time-out may also come after the first piece did.
      if (!isTimeout(error)) throw error;
      reader = (await open(id, characters)).getReader();
    }
  }
  response.end();
}

const server = createServer((request, response) => {
  const [, id] = /^\/v1\/streams\/([^/]+)\/events$/.exec(request.url) ?? [];
  request.resume();
  serve(id ?? randomUUID().replaceAll("-", ""), response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  const { address, port } = server.address();
  console.error(JSON.stringify({ message: "Listening", address: `${address}:${port}` }));
});
