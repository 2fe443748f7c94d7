// TS2367: a connection does not stand so.
import type { ConnectionState } from 'tailrace';

export const isReady = ({ state }: ConnectionState): boolean => state === 'ready';
