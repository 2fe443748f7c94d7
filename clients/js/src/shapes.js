/**
 * Names for the shapes of openapi.yaml, whose types openapi-typescript makes. Nothing runs here.
 */

/**
 * @import { components } from '../types/api.js'
 */

/** @typedef {components['schemas']} Schemas */
/** @typedef {Schemas['CreateStream']} CreateStream What to generate. */
/** @typedef {Schemas['Event']} Event One event of a stream; `type` tells which. */
/** @typedef {Schemas['StartEvent']} StartEvent */
/** @typedef {Schemas['TokenEvent']} TokenEvent */
/** @typedef {Schemas['DoneEvent']} DoneEvent */
/** @typedef {Schemas['ErrorEvent']} ErrorEvent */
/** @typedef {Schemas['EventPage']} EventPage */
/** @typedef {Schemas['ModelList']} ModelList */
/** @typedef {Schemas['Problem']} Problem */
/** @typedef {Schemas['StreamList']} StreamList */
/** @typedef {Schemas['StreamSnapshot']} StreamSnapshot A stream as it stands. */
/** @typedef {Schemas['StreamStatus']} StreamStatus */
/** @typedef {Schemas['TicketAnswer']} Ticket */

export {};
