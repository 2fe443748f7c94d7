/**
 * A conversation is a tree: who asks again, or edits a prompt, begins another branch, and nothing of the
 * others is lost. Only one path through it is shown. Pure functions over messages.
 *
 * @import { Message, Place } from './model.js'
 */

/**
 * The messages with what they come after, in the order in which they were made. Those that were kept
 * before there were branches only have their place: each comes after the one before it.
 *
 * @param {Message[]} messages
 * @returns {Message[]}
 */
export function placed(messages) {
  const old = messages.filter(({ at }) => at !== undefined);
  old.sort((one, other) => (one.at ?? 0) - (other.at ?? 0));
  old.forEach((message, at) => {
    if (message.parent === undefined) message.parent = old[at - 1]?.id ?? null;
  });
  const young = messages.filter(({ at }) => at === undefined);
  young.sort((one, other) => (one.made ?? 0) - (other.made ?? 0));
  return [...old, ...young];
}

/**
 * The messages with the same predecessor as this one, itself among them.
 *
 * @param {Message[]} all in their order
 * @param {Message} message
 */
export function versionsOf(all, message) {
  return all.filter(({ parent }) => parent === message.parent);
}

/**
 * The path that is shown: where it branches, it goes on with what was chosen last.
 *
 * @param {Message[]} all in their order
 * @param {string | null} [from] only what comes after the message with this id
 * @returns {Message[]}
 */
export function shownOf(all, from = null) {
  /** @type {Map<string | null | undefined, Message>} */
  const next = new Map();
  for (const message of all) {
    const other = next.get(message.parent);
    if (!other || (message.chosen ?? 0) >= (other.chosen ?? 0)) next.set(message.parent, message);
  }
  const path = [];
  for (let at = next.get(from); at; at = next.get(at.id)) path.push(at);
  return path;
}

/**
 * What a message says of its place, to be taken over by another copy of it.
 *
 * @param {Message} message
 * @returns {Place}
 */
export function placeOf({ parent, made, chosen }) {
  return {
    ...(parent !== undefined && { parent }),
    ...(made !== undefined && { made }),
    ...(chosen !== undefined && { chosen }),
  };
}
