/** Our JavaScript client in a worker of any kind: it reads a stream and passes the events on. */

import { Tailrace } from '../../../clients/js/src/index.js';

async function read({ data: { options, request }, ports: [port] }) {
  try {
    for await (const event of new Tailrace(options).stream(request)) port.postMessage({ event });
    port.postMessage({ outcome: 'ended' });
  } catch (error) {
    port.postMessage({ outcome: error.code ?? String(error) });
  }
}

addEventListener('message', (event) => {
  const reading = read(event);
  // A service worker is stopped while it waits for nothing that it has announced.
  event.waitUntil?.(reading);
});
addEventListener('connect', ({ ports: [port] }) => (port.onmessage = read));
