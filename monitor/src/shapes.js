/**
 * The shapes of the feed, as `openapi.yaml` has them.
 *
 * @import { components } from '../../clients/js/types/api.d.ts'
 */

/** @typedef {components['schemas']['MonitorState']} State */
/** @typedef {components['schemas']['MonitorEvent']} FeedEvent */
/** @typedef {components['schemas']['LiveStream']} LiveStream */
/** @typedef {components['schemas']['Pace']} Pace */
/** @typedef {components['schemas']['PeerState']} Peer */

export {};
