/** Brings the parts together: a token, the feed, and what shows it. */

import { part } from '../../src/dom.js';
import { startTheme } from '../../src/theme.js';
import { Attention } from './attention.js';
import { cancelStream, turnCancelOff } from './cancel.js';
import { Charts } from './charts.js';
import { Feed } from './feed.js';
import { hideGate, showGate, startGate } from './gate.js';
import { Past } from './past.js';
import { Renewed } from './renewed.js';
import { Room } from './room.js';
import { Status } from './status.js';
import { Streams } from './streams.js';
import { Tables } from './tables.js';
import { TokenStore } from './token.js';
import { spanOf } from './words.js';

/** @import { Refusal } from './feed.js' */

const board = part('board', HTMLElement);
const forget = part('forget', HTMLButtonElement);

const store = new TokenStore(watch);
const past = new Past();
const status = new Status((isOld) => {
  board.classList.toggle('old', isOld);
  charts.turnOld(isOld);
  streams.turnOld(isOld);
  turnCancelOff(isOld);
});
const attention = new Attention();
const charts = new Charts();
const tables = new Tables();
const room = new Room();
const renewed = new Renewed();
const streams = new Streams((stream) => void cancelStream(stream, store.token));

/** @type {Feed | undefined} */
let feed;

function watch() {
  hideGate();
  forget.hidden = false;
  status.start();
  feed?.stop();
  feed = new Feed(store.token, {
    onEvent: (event) => {
      store.accepted();
      if (event.type === 'end' && event.reason === 'stopping') status.hasStopped();
      if (event.type !== 'state') return;
      attention.update(event, spanOf(event));
      past.add(event);
      charts.update(past, event);
      streams.update(event);
      tables.update(event);
      room.update(event);
      // What cannot be shown was not heard.
      status.heard(event);
      renewed.heard(event);
      board.hidden = false;
    },
    onWait: (wait) => status.waits(wait),
    onRefused: (refusal) => (store.refused() ? watch() : leave(refusal)),
  });
}

/** @param {Refusal} [refusal] */
function leave(refusal) {
  feed?.stop();
  feed = undefined;
  store.forget();
  status.stop();
  renewed.stop();
  board.hidden = true;
  forget.hidden = true;
  showGate(refusal);
}

startTheme();
startGate((token) => {
  store.keep(token);
  watch();
});
forget.addEventListener('click', () => leave());
if (store.token) watch();
else showGate();
