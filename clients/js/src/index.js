/** What the package exports. */

export { Tailrace, stream } from './client.js';
export { TailraceError } from './error.js';
export { TokenStream } from './stream.js';

/** @typedef {import('./shapes.js').CreateStream} CreateStream */
/** @typedef {import('./shapes.js').Event} Event */
/** @typedef {import('./shapes.js').StreamSnapshot} StreamSnapshot */
/** @typedef {import('./options.js').ConnectionState} ConnectionState */
/** @typedef {import('./options.js').FollowOptions} FollowOptions */
/** @typedef {import('./options.js').RetryOptions} RetryOptions */
/** @typedef {import('./options.js').StreamOptions} StreamOptions */
/** @typedef {import('./options.js').TailraceOptions} TailraceOptions */
/** @typedef {import('./options.js').TokenSource} TokenSource */
