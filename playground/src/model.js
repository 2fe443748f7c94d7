/**
 * What is kept of conversations. Shapes only; nothing runs here.
 *
 * @import { CreateStream } from '../client/shapes.js'
 * @import { Figures } from './figures.js'
 */

/**
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title the first prompt, until it is renamed
 * @property {number} created
 * @property {number} updated
 */

/**
 * What somebody asked.
 *
 * @typedef {object} Prompt
 * @property {'user'} role
 * @property {string} id
 * @property {string} conversation
 * @property {number} at its place in the conversation
 * @property {string} text
 */

/**
 * @typedef {object} ToolCall
 * @property {number} [index] what the server calls it by
 * @property {string} name
 * @property {string} arguments the JSON text as far as it has come
 */

/**
 * What is wrong with an answer, as far as it is kept.
 *
 * @typedef {object} Trouble
 * @property {string} code
 * @property {string} message
 * @property {boolean} retryable
 * @property {boolean} resumable whether the same generation can be gone on with
 * @property {number} [retryAfterMs]
 */

/**
 * What a model answered, as far as it has come. `cursor` and everything that was made of the events up
 * to it are written together, so that a reload can go on right after it.
 *
 * @typedef {object} Answer
 * @property {'assistant'} role
 * @property {string} id
 * @property {string} conversation
 * @property {number} at its place in the conversation
 * @property {'running' | 'done' | 'failed'} status
 * @property {CreateStream} request
 * @property {string} key names the request, so that asking again does not generate twice
 * @property {string} model
 * @property {string | null} stream its id, once the server has said it
 * @property {number} seq of the last event that was taken; -1 before the first
 * @property {string} reasoning
 * @property {number} reasoningMs how long it thought
 * @property {string} text
 * @property {string} refusal
 * @property {ToolCall[]} tools
 * @property {string | null} finish
 * @property {Trouble | null} trouble
 * @property {Figures} figures
 */

/** @typedef {Prompt | Answer} Message */

export {};
