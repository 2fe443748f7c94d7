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
 * Where a message stands in its conversation. Messages that have the same parent are versions of each
 * other, and the one that was chosen last is shown.
 *
 * @typedef {object} Place
 * @property {string | null} [parent] the id of the message that it comes after; null for a first one
 * @property {number} [made] when, which orders versions
 * @property {number} [chosen] when it was made or last chosen
 * @property {number} [at] of messages that were kept before there were versions: the only order they have
 */

/**
 * What somebody asked.
 *
 * @typedef {object} PromptParts
 * @property {'user'} role
 * @property {string} id
 * @property {string} conversation
 * @property {string} text
 */

/** @typedef {PromptParts & Place} Prompt */

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
 * @typedef {object} AnswerParts
 * @property {'assistant'} role
 * @property {string} id
 * @property {string} conversation
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

/** @typedef {AnswerParts & Place} Answer */

/** @typedef {Prompt | Answer} Message */

export {};
