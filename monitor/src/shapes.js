/** The shapes of the feed, as `openapi.yaml` has them. */

/** @typedef {import('../../clients/js/types/api.js').components} components */

/** @typedef {components['schemas']['MonitorState']} State */
/** @typedef {components['schemas']['MonitorEvent']} FeedEvent */
/** @typedef {components['schemas']['LiveStream']} LiveStream */
/** @typedef {components['schemas']['Pace']} Pace */
/** @typedef {components['schemas']['PeerState']} Peer */
/** @typedef {components['schemas']['Tally']} Tally */

export {};
