/** @microsoft/fetch-event-source on a page, used as its README shows. */

import { EventStreamContentType, fetchEventSource } from '@microsoft/fetch-event-source';

class RetriableError extends Error {}
class FatalError extends Error {}

export const events = [];

/** Each time the tab was hidden or shown. */
export const visibility = [];
document.addEventListener('visibilitychange', () => visibility.push(document.visibilityState));

/** How it stands: `running`, `resolved`, or the error that it was rejected with. */
export let outcome = 'none';

/** Posts a request and follows its stream to the end. */
export function post(url, { token, body, headers }) {
  outcome = 'running';
  fetchEventSource(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    async onopen(response) {
      if (response.ok && response.headers.get('content-type') === EventStreamContentType) {
        return; // everything's good
      } else if (response.status >= 400 && response.status < 500 && response.status !== 429) {
        // client-side errors are usually non-retriable:
        throw new FatalError(`${response.status} ${(await response.json()).error.code}`);
      } else {
        throw new RetriableError();
      }
    },
    onmessage({ event, id, data }) {
      events.push({ type: event, id, data });
    },
    onclose() {
      // if the server closes the connection unexpectedly, retry:
      if (!['done', 'error'].includes(events.at(-1)?.type)) throw new RetriableError();
    },
    onerror(error) {
      // rethrow to stop the operation; do nothing to automatically retry
      if (error instanceof FatalError) throw error;
    },
  }).then(
    () => (outcome = 'resolved'),
    (error) => (outcome = error.message),
  );
}
