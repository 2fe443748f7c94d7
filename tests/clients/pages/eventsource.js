/** The browser's own EventSource, on a page: it keeps what it dispatched. */

const NAMES = ['start', 'token', 'reasoning', 'refusal', 'tool_call', 'logprobs', 'done', 'message'];

export const events = [];

/** Each error that was no event: the ready state then. */
export const errors = [];

let source;

/** Follows a stream to wherever it goes; the tests look at what came of it. */
export function follow(url, options) {
  source = new EventSource(url, options);
  const keep = ({ type, lastEventId, data }) => events.push({ type, id: lastEventId, data });
  for (const name of NAMES) source.addEventListener(name, keep);
  source.addEventListener('error', (event) => {
    // The server's `error` events come here too, and only they have data.
    if (event.data === undefined) errors.push(source.readyState);
    else keep(event);
  });
}

export function state() {
  return source.readyState;
}
