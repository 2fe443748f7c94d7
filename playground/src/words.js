/**
 * What went wrong, in words for people: what it is, what to do about it, and what to offer.
 *
 * @import { Answer, Trouble } from './model.js'
 * @import { Link } from './run.js'
 */

import { count } from './figures.js';

/**
 * @typedef {object} Notice
 * @property {'quiet' | 'warning' | 'error'} tone
 * @property {string} title
 * @property {string} text
 * @property {'again' | 'token' | 'edit'} offer
 */

/** @type {Record<string, Omit<Notice, 'tone'> & { tone?: Notice['tone'] }>} */
const KNOWN = {
  rate_limited: {
    tone: 'warning',
    title: 'You are faster than your plan allows',
    text: 'Nothing was generated, and nothing is lost.',
    offer: 'again',
  },
  tokens_exhausted: {
    tone: 'warning',
    title: 'Your plan’s tokens of this minute are used up',
    text: 'They come back within a minute.',
    offer: 'again',
  },
  too_many_streams: {
    tone: 'warning',
    title: 'Too many answers at once',
    text: 'Wait until one of the others has ended, or stop one.',
    offer: 'again',
  },
  quota_exceeded: {
    tone: 'warning',
    title: 'Your plan’s tokens ran out during this answer',
    text: 'What had come is kept. They come back within a minute.',
    offer: 'again',
  },
  too_many_failures: {
    tone: 'warning',
    title: 'Too many wrong tokens from your address',
    text: 'The server takes no more for a minute.',
    offer: 'again',
  },
  token_declined: {
    tone: 'warning',
    title: 'There is no token',
    text: 'Without one the server does not know who you are.',
    offer: 'token',
  },
  token_expired: {
    tone: 'warning',
    title: 'Your token has expired',
    text: 'Give another one, and the answer goes on.',
    offer: 'token',
  },
  invalid_token: {
    title: 'The server does not accept this token',
    text: 'It may be of another server, or not have been copied whole.',
    offer: 'token',
  },
  insufficient_scope: {
    title: 'Your token does not allow this',
    text: 'It needs the scopes to write and to read streams.',
    offer: 'token',
  },
  body_too_large: {
    tone: 'warning',
    title: 'That is more text than this server takes',
    text: 'The prompt goes with everything that was said before it. Shorten it, or begin a new conversation with it.',
    offer: 'edit',
  },
  stream_not_found: {
    tone: 'warning',
    title: 'The server no longer knows this answer',
    text: 'It was probably restarted, and kept its streams in memory. What had come is kept here.',
    offer: 'again',
  },
  stream_expired: {
    tone: 'warning',
    title: 'The server no longer keeps this answer',
    text: 'It had ended a while ago. What had come is kept here.',
    offer: 'again',
  },
  server_stopping: {
    tone: 'warning',
    title: 'The server is being stopped',
    text: 'What had come is kept. Ask again in a moment.',
    offer: 'again',
  },
  producer_lost: {
    tone: 'warning',
    title: 'The process that made this answer is gone',
    text: 'What had come is kept.',
    offer: 'again',
  },
  overloaded: {
    tone: 'warning',
    title: 'The server is full',
    text: 'Try again in a moment.',
    offer: 'again',
  },
  unreachable: {
    title: 'The server cannot be reached',
    text: 'Is it running? Is the network there?',
    offer: 'again',
  },
  generator_error: {
    title: 'The model failed',
    text: 'That may not happen again. What had come is kept.',
    offer: 'again',
  },
  first_token_timeout: {
    title: 'The model did not begin in time',
    text: 'It may be busy, or still be loading.',
    offer: 'again',
  },
  idle_timeout: {
    title: 'The model fell silent',
    text: 'What had come is kept.',
    offer: 'again',
  },
  total_timeout: {
    title: 'The answer took too long',
    text: 'What had come is kept. A smaller question may help.',
    offer: 'again',
  },
  upstream_rate_limited: {
    tone: 'warning',
    title: 'The model turns requests away for now',
    text: 'It is not your plan: its own server is busy.',
    offer: 'again',
  },
  text_mismatch: {
    title: 'This is not the text that the server sent',
    text: 'Its digest differs. Please report this.',
    offer: 'again',
  },
};

/**
 * @param {Trouble} trouble
 * @returns {Notice}
 */
export function noticeOf({ code, message, retryable }) {
  const known = KNOWN[code];
  if (known) return { tone: 'error', ...known };
  // The server's own sentence says more than a general one of ours.
  const sentence = message.charAt(0).toUpperCase() + message.slice(1);
  const text = /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
  return {
    tone: 'error',
    title: retryable ? 'That did not work, this time' : 'That did not work',
    text,
    offer: 'again',
  };
}

/**
 * Why a connection is being waited for.
 *
 * @param {{ code: string, message: string, status?: number | undefined }} [error]
 */
export function waitingFor(error) {
  if (error?.code === 'disconnected') return 'Connection cut';
  if (error?.status === 429) return KNOWN[error.code]?.title ?? 'The server asks for a pause';
  if (error?.status === 503) return KNOWN[error.code]?.title ?? 'The server is busy';
  return navigator.onLine ? 'Connection lost' : 'You are offline';
}

/** @type {Record<string, string>} */
const FINISHES = {
  length: 'Ended at the most tokens that were allowed',
  cancelled: 'Stopped',
  content_filter: 'Ended by the model’s content filter',
};

/**
 * What a reader should know about how an answer ended; nothing, if it is complete.
 *
 * @param {string | null} finish
 */
export function finishWords(finish) {
  return finish === null ? undefined : FINISHES[finish];
}

/**
 * What somebody who cannot see the page hears when a connection changes; nothing, mostly.
 *
 * @param {Link} link
 * @param {Link['state']} before
 */
export function linkWords({ state, error }, before) {
  if (state === before) return '';
  if (state === 'waiting') return `${waitingFor(error)}. It is tried again by itself.`;
  return state === 'open' && before === 'waiting' ? 'Connected again.' : '';
}

/**
 * What they hear when an answer has ended.
 *
 * @param {Answer} answer
 */
export function endWords({ status, trouble, finish, figures }) {
  if (status === 'failed' && trouble) {
    const { title, text } = noticeOf(trouble);
    return `${title}. ${text}`;
  }
  if (finish === 'cancelled') return 'Stopped.';
  return `Answer complete, ${count(figures.tokens, 'token')}.`;
}
