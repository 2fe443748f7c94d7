export type Schemas = components["schemas"];
/**
 * What to generate.
 */
export type CreateStream = Schemas["CreateStream"];
/**
 * One event of a stream; `type` tells which.
 */
export type Event = Schemas["Event"];
export type StartEvent = Schemas["StartEvent"];
export type TokenEvent = Schemas["TokenEvent"];
export type DoneEvent = Schemas["DoneEvent"];
export type ErrorEvent = Schemas["ErrorEvent"];
export type EventPage = Schemas["EventPage"];
export type ModelList = Schemas["ModelList"];
export type Problem = Schemas["Problem"];
export type StreamList = Schemas["StreamList"];
/**
 * A stream as it stands.
 */
export type StreamSnapshot = Schemas["StreamSnapshot"];
export type StreamStatus = Schemas["StreamStatus"];
export type Ticket = Schemas["TicketAnswer"];
import type { components } from '../types/api.js';
