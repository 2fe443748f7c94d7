/*
 * Starts Swagger UI, and adds what it lacks for this server: it waits for the end of an answer
 * before it shows any of it, it asks for a token even where the server hands them out, and it knows
 * no stream to put into `{id}`.
 */

/* global SwaggerUIBundle */

/** What has come of a streamed answer so far, by operation: `{ text, events }`. */
const answers = new Map();

/** Called when an answer has grown. */
const listeners = new Set();

/** The text of one line of an event stream or of NDJSON, if it has some that is to be shown. */
function textOf(line) {
  const data = line.replace(/^data: /, '');
  if (!data.startsWith('{')) return undefined;
  try {
    const event = JSON.parse(data);
    return event.text ?? event.choices?.[0]?.delta?.content ?? '';
  } catch {
    return undefined;
  }
}

/** Reads a copy of a streamed answer while Swagger UI waits for its end. */
async function watch(key, body) {
  const answer = { text: '', events: 0 };
  answers.set(key, answer);
  let rest = '';
  try {
    for await (const piece of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + piece).split('\n');
      rest = lines.pop();
      for (const text of lines.map(textOf)) {
        if (text === undefined) continue;
        answer.events += 1;
        answer.text += text;
      }
      for (const listener of listeners) listener();
    }
  } catch {
    // The connection broke: Swagger UI, which reads the same, says so.
  } finally {
    answers.delete(key);
    for (const listener of listeners) listener();
  }
}

/** `fetch` for one operation: a streamed answer is shown as it comes. */
function watching(key, onStream) {
  return async (url, options) => {
    const response = await fetch(url, options);
    const id = response.headers.get('x-stream-id');
    if (id) onStream(id);
    const kind = response.headers.get('content-type') ?? '';
    if (!/^(text\/event-stream|application\/x-ndjson)/.test(kind)) return response;
    const [shown, whole] = response.body.tee();
    watch(key, shown);
    const { status, statusText, headers } = response;
    const copy = new Response(whole, { status, statusText, headers });
    Object.defineProperty(copy, 'url', { value: response.url });
    return copy;
  };
}

/** Puts a new stream's id into every call that wants one. */
function nameStream({ specSelectors, specActions }, id) {
  for (const [path, item] of specSelectors.paths()) {
    if (!path.startsWith('/v1/streams/{id}')) continue;
    for (const method of item.keys()) {
      specActions.changeParam([path, method], 'id', 'path', id, false);
    }
  }
}

/** The plugin: wraps sending, and the place where Swagger UI shows answers. */
function live(system) {
  const { React } = system;

  function Live({ operation }) {
    const [, redraw] = React.useReducer((count) => count + 1, 0);
    const text = React.useRef(null);
    React.useEffect(() => {
      listeners.add(redraw);
      return () => listeners.delete(redraw);
    }, []);
    React.useEffect(() => {
      if (text.current) text.current.scrollTop = text.current.scrollHeight;
    });
    const answer = answers.get(operation);
    if (!answer) return null;
    return React.createElement(
      'div',
      { className: 'live', 'aria-live': 'off' },
      React.createElement('p', { className: 'live-head' }, `Streaming: ${answer.events} events`),
      React.createElement('pre', { className: 'live-text', ref: text }, answer.text),
    );
  }

  return {
    statePlugins: {
      spec: {
        wrapActions: {
          executeRequest: (original, system) => (request) => {
            const key = `${request.method} ${request.pathName}`;
            const userFetch = watching(key, (id) => nameStream(system, id));
            return original({ ...request, userFetch });
          },
        },
      },
    },
    wrapComponents: {
      responses: (Original) => (props) =>
        React.createElement(
          React.Fragment,
          null,
          React.createElement(Live, { operation: `${props.method} ${props.path}` }),
          React.createElement(Original, props),
        ),
    },
  };
}

/** In development mode the server gives this page tokens; otherwise Authorize takes one. */
async function authorize(ui) {
  if (document.querySelector('meta[name=tailrace-token]').content !== 'development') return;
  const response = await fetch('/playground/token', { method: 'POST' });
  if (!response.ok) return;
  const { token, expires_in } = await response.json();
  ui.preauthorizeApiKey('bearer', token);
  setTimeout(() => authorize(ui), (expires_in / 2) * 1000);
}

/** What everything begins with comes first; the rest stays in the document's order. */
function creatingFirst(one, other) {
  const rank = (operation) => Number(operation.getIn(['operation', 'operationId']) !== 'createStream');
  return rank(one) - rank(other);
}

const ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [live],
  operationsSorter: creatingFirst,
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // Would send the document to a service elsewhere.
  validatorUrl: null,
  onComplete: () => authorize(ui),
});
