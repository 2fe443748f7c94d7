/** Our JavaScript client on a page: it keeps what it was given, and the tests look at that. */

import { Tailrace } from '../../../clients/js/src/index.js';

export const events = [];
export const states = [];

/** How the stream ended: nothing yet, 'ended', or the error's code. */
export let outcome;

let stream;
let client;

/** Reads a stream that `open` gives, to wherever it goes. */
async function read(open) {
  try {
    stream = open({
      onConnection: ({ error, ...state }) => states.push({ ...state, error: error?.code }),
    });
    for await (const event of stream) events.push(event);
    outcome = 'ended';
  } catch (error) {
    outcome = error.code ?? String(error);
  }
}

export function connect(options) {
  client = new Tailrace({ retry: { baseMs: 20, maxMs: 100 }, ...options });
}

export function start(request, more) {
  void read((options) => client.stream(request, { ...options, ...more }));
}

export function follow(id) {
  void read((options) => client.follow(id, options));
}

export function eventSource(id) {
  void read((options) => client.eventSource(id, options));
}

export const id = () => stream?.id;
export const cancel = async () => void (await stream.cancel());
export const disconnect = (milliseconds) => stream.disconnect(milliseconds);

/** Lets a worker of this kind read the stream, and keeps what that was given. */
export async function readIn(kind, options, request) {
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }) => {
    if (data.event) events.push(data.event);
    else outcome = data.outcome;
  };
  const message = { options, request };
  if (kind === 'service worker') {
    await navigator.serviceWorker.register('/client-js-worker.js');
    const { active } = await navigator.serviceWorker.ready;
    active.postMessage(message, [channel.port2]);
  } else if (kind === 'shared worker') {
    new SharedWorker('/client-js-worker.js').port.postMessage(message, [channel.port2]);
  } else {
    new Worker('/client-js-worker.js').postMessage(message, [channel.port2]);
  }
}
