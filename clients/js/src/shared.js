/**
 * A stream that several tabs follow over one connection. One of them reads and tells the others;
 * when it closes, the next goes on from its own cursor. Every tab counts for itself what it has
 * seen, and reads for itself what it has missed, so nothing depends on what another tab kept.
 *
 * @import { Event } from './shapes.js'
 * @import { ConnectionState } from './options.js'
 * @import { Gate, Reading, Source } from './reading.js'
 * @import { Said } from './channel.js'
 */

import { TailraceError } from './error.js';
import { Progress } from './progress.js';
import { pause } from './retry.js';
import { Channel } from './channel.js';
import { Slot } from './slot.js';

/**
 * Reads a stream, for one tab or for all.
 *
 * @typedef {(source: Source, report: (state: ConnectionState) => void, gate?: Gate) => Reading} Read
 */

/** How often a tab looks for itself while the one that reads says nothing. */
const ALONE_MS = 2000;

/** How long the end of a stream may be on its way to the other tabs. */
const LINGER_MS = 2000;

/** Never a connection that stays open: for a tab that has missed something. */
const PAGES_ONLY = { enter: async () => false };

export class SharedReading {
  #scope;
  #read;
  #report;
  #silenceMs;
  #slot;
  #end = new AbortController();
  /** @type {Channel | undefined} */
  #channel;
  /** What reads for all of us, if that is this tab. @type {Reading | undefined} */
  #reading;
  #leads = false;
  /** The last that was said of the connection. @type {ConnectionState} */
  #state = { state: 'connecting', attempt: 1 };
  #catching = false;
  /** The last event that the tab that reads has. */
  #known = -1;
  #heardAt = Date.now();
  /** @type {Event[]} */
  #fresh = [];
  /** @type {unknown} */
  #failure;
  #failed = false;
  /** @type {() => void} */
  #wake = () => {};

  /**
   * @param {string} scope
   * @param {Source} source
   * @param {Read} read
   * @param {(state: ConnectionState) => void} report
   * @param {number} silenceMs
   */
  constructor(scope, source, read, report, silenceMs) {
    this.#scope = scope;
    this.#read = read;
    this.#report = report;
    this.#silenceMs = silenceMs;
    this.#slot = new Slot(scope);
    if ('id' in source) {
      this.progress = new Progress(source.id, source.after);
      this.identified = Promise.resolve(source.id);
    } else {
      this.progress = new Progress();
      this.#reading = this.#reader(source);
      this.identified = this.#reading.identified;
    }
  }

  /** @returns {AsyncGenerator<Event[], void, undefined>} */
  async *batches() {
    try {
      if (this.#reading) void this.#publish(this.#reading);
      else void this.#join();
      while (!this.progress.over || this.#fresh.length > 0) {
        if (this.#fresh.length === 0) {
          if (this.#failed) throw this.#failure;
          await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
          continue;
        }
        const batch = this.#fresh;
        this.#fresh = [];
        if (this.progress.over) await this.progress.verify();
        yield batch;
      }
    } finally {
      this.stop(undefined);
    }
  }

  /** Drops the connection of all who follow. @param {number} [milliseconds] */
  disconnect(milliseconds = 0) {
    if (this.#reading) this.#reading.disconnect(milliseconds);
    else this.#channel?.say({ kind: 'disconnect', milliseconds });
  }

  hasten() {
    this.#reading?.hasten();
  }

  /** @param {unknown} reason */
  stop(reason) {
    this.#fail(reason);
    this.#end.abort();
    this.#reading?.stop(reason);
    this.#channel?.leave(this.progress.over ? LINGER_MS : 0);
    this.#slot.leave();
  }

  /** @param {unknown} reason */
  #fail(reason) {
    if (!this.#failed) this.#failure = reason;
    this.#failed = true;
    this.#wake();
  }

  /** @param {Source} source */
  #reader(source) {
    return this.#read(source, (state) => this.#tell(state), this.#slot);
  }

  /** Follows a stream that exists: reads it for all, or listens to who does. */
  async #join() {
    const channel = this.#open(this.progress.id ?? '');
    if (await channel.lead()) return this.#lead();
    channel.succeed(() => this.#lead());
    channel.say({ kind: 'hello' });
    this.#report({ state: 'connecting', attempt: 1 });
    await this.#catchUp();
    while (!this.#end.signal.aborted && !this.#leads) {
      const quiet = Date.now() - this.#heardAt;
      if (quiet < this.#silenceMs) {
        await pause(Math.min(this.#silenceMs - quiet, 60_000), this.#end.signal);
      } else {
        // Its tab may be frozen.
        this.#report({ state: 'polling', attempt: 1 });
        await this.#catchUp();
        await pause(ALONE_MS, this.#end.signal);
      }
    }
  }

  /** @param {string} id */
  #open(id) {
    const channel = new Channel(this.#scope, id, (said) => this.#hear(said));
    this.#channel = channel;
    if (this.#end.signal.aborted) channel.leave();
    return channel;
  }

  /** From here on this tab reads, for all. */
  #lead() {
    this.#leads = true;
    if (this.progress.over || this.#end.signal.aborted) return;
    const after = this.progress.seq;
    this.#reading = this.#reader({ id: this.progress.id ?? '', after });
    void this.#publish(this.#reading);
  }

  /**
   * Reads to the end, and tells the others.
   *
   * @param {Reading} reading
   */
  async #publish(reading) {
    try {
      for await (const events of reading.batches()) {
        const { id } = reading.progress;
        if (id !== undefined && id !== this.progress.id) void this.#name(id);
        this.#accept(events);
        this.#say(events);
      }
      // There was nothing left to read.
      if (!this.progress.over) this.#finish();
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * The generation that was asked for has an id now. If another tab reads it already, having used
   * the same idempotency key, this one reads for itself. No event of its own waits for that: locks may
   * be slow to come.
   *
   * @param {string} id
   */
  async #name(id) {
    // Another one after all, if the first failed before it had begun.
    this.#channel?.leave();
    this.#leads = false;
    this.progress = new Progress(id);
    const channel = this.#open(id);
    const leads = await channel.lead();
    if (!leads || this.#channel !== channel) return;
    this.#leads = true;
    // Who has come meanwhile has heard nothing yet, and reads what it has missed.
    this.#tellOthers();
  }

  /** How things stand, for those who may not know. */
  #tellOthers() {
    this.#channel?.say({ kind: 'state', state: this.#state });
    this.#say([]);
  }

  #finish() {
    this.progress.over = true;
    this.#wake();
  }

  /** @param {ConnectionState} state */
  #tell(state) {
    // Whoever is told later how things stand has not seen what was resumed.
    const { resumedAfter, replayed, ...standing } = state;
    this.#state = standing;
    this.#report(state);
    if (this.#leads) this.#channel?.say({ kind: 'state', state });
  }

  /** @param {Said} said */
  #hear(said) {
    if (said.kind === 'disconnect') {
      if (this.#leads) this.#reading?.disconnect(said.milliseconds);
    } else if (said.kind === 'hello') {
      if (this.#leads) this.#tellOthers();
    } else if (!this.#leads) {
      this.#heardAt = Date.now();
      if (said.kind === 'state') return this.#report(said.state);
      this.#known = Math.max(this.#known, said.last);
      this.#accept(said.events);
      if (this.progress.seq < this.#known) void this.#catchUp();
    }
  }

  /**
   * Tells the others what has come, if this is the tab that reads.
   *
   * @param {Event[]} events
   */
  #say(events) {
    const last = this.progress.seq;
    if (this.#leads) this.#channel?.say({ kind: 'events', events, last });
  }

  /** @param {Event[]} events */
  #accept(events) {
    const fresh = this.progress.accept(events);
    if (fresh.length === 0) return;
    this.#fresh.push(...fresh);
    this.#wake();
  }

  /** Reads for itself, without a connection that stays, up to what others have. */
  async #catchUp() {
    if (this.#catching || this.#leads) return;
    this.#catching = true;
    const { id = '', seq } = this.progress;
    const reading = this.#read({ id, after: seq }, () => {}, PAGES_ONLY);
    const stop = () => reading.stop(undefined);
    this.#end.signal.addEventListener('abort', stop);
    try {
      let enough = false;
      for await (const events of reading.batches()) {
        this.#accept(events);
        enough = this.#leads || this.progress.seq >= this.#known;
        if (enough) break;
      }
      // There was nothing left to read.
      if (!enough) this.#finish();
    } catch (error) {
      // What may be better later is: the next that is heard shows again what is missing.
      if (!(error instanceof TailraceError && error.retryable)) this.#fail(error);
    } finally {
      this.#end.signal.removeEventListener('abort', stop);
      this.#catching = false;
    }
  }
}
