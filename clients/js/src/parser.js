/**
 * An incremental parser of `text/event-stream`, as the HTML standard has it (section 9.2.6): bytes
 * in, however they were cut, and complete messages out. It knows nothing of connections.
 */

/**
 * One message. `id` is there if the block had one: who commits ids does so with the whole block.
 *
 * @typedef {{ data: string, event: string, id: string | undefined }} Message
 */

export class EventStreamParser {
  // Not fatal, and without a byte order mark at the start, as the standard says.
  #decoder = new TextDecoder();
  /** What has come of the line that is not complete yet. */
  #line = '';
  /** The last text ended in CR: an LF that follows belongs to it. */
  #afterReturn = false;
  /** @type {string[]} */
  #data = [];
  #event = '';
  /** @type {string | undefined} */
  #id;
  /**
   * What the stream said last of how long to wait before reconnecting, in milliseconds.
   *
   * @type {number | undefined}
   */
  retryMs;

  /**
   * Takes the next bytes, and answers with the messages that are complete now.
   *
   * @param {Uint8Array} bytes
   * @returns {Message[]}
   */
  push(bytes) {
    /** @type {Message[]} */
    const messages = [];
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === '') return messages;
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.#afterReturn = text.endsWith('\r');
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop() ?? '';
    for (const line of lines) this.#take(line, messages);
    return messages;
  }

  /**
   * @param {string} line
   * @param {Message[]} messages
   */
  #take(line, messages) {
    if (line === '') {
      if (this.#data.length > 0) {
        const event = this.#event || 'message';
        messages.push({ data: this.#data.join('\n'), event, id: this.#id });
      }
      this.#data = [];
      this.#event = '';
      this.#id = undefined;
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#event = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}
