/**
 * Finds the messages in the bytes of an HTTP/1.1 connection: enough of the protocol to tell where
 * requests begin, and what the status of an answer is. It changes no byte.
 */

const HEAD_END = Buffer.from('\r\n\r\n');

function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return { first, headers };
}

/** Reads what a client sends. Bodies are expected to have a Content-Length. */
export class RequestReader {
  #buffer = Buffer.alloc(0);
  #body = 0;

  /** Takes bytes, and answers with the requests whose heads are complete now. */
  push(bytes) {
    const found = [];
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
    for (;;) {
      const skipped = Math.min(this.#body, this.#buffer.length);
      this.#body -= skipped;
      this.#buffer = this.#buffer.subarray(skipped);
      const end = this.#buffer.indexOf(HEAD_END);
      if (this.#body > 0 || end < 0) return found;
      const { first, headers } = parseHead(this.#buffer.toString('latin1', 0, end));
      const [method, target] = first.split(' ');
      found.push({ method, target, headers });
      this.#body = Number(headers['content-length'] ?? 0);
      this.#buffer = this.#buffer.subarray(end + HEAD_END.length);
    }
  }
}

/** Reads the beginning of one answer. */
export class ResponseReader {
  #head = Buffer.alloc(0);
  status = undefined;

  /** Takes bytes, and answers with how many of them belong to the body. */
  push(bytes) {
    if (this.status !== undefined) return bytes.length;
    this.#head = Buffer.concat([this.#head, bytes]);
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) return 0;
    this.status = Number(parseHead(this.#head.toString('latin1', 0, end)).first.split(' ')[1]);
    return this.#head.length - end - HEAD_END.length;
  }
}
