/** What the monitor's charts draw of the states that came: rates of one process, over the time that passed. */

import assert from 'node:assert/strict';
import { suite, test } from 'node:test';

import { Past } from '../../monitor/src/past.js';

const BEGAN = 1_800_000_000_000;

const pace = (name = '') => ({ name, running: 0, started: 0, tokens_per_second: 0, first_token: { count: 0 }, gap: { count: 0 } });

/** A state so many milliseconds after the first, with so many of everything counted. */
function state(after, count, { name = 'a:1', started = BEGAN } = {}) {
  const tally = [{ code: 'x', total: count, last_window: 0 }];
  return {
    at_ms: BEGAN + after,
    node: { name, started_ms: started, uptime_s: 100, cpu: 0.5, memory_bytes: 1 },
    total: pace(),
    models: [],
    plans: [pace('default')],
    requests_per_second: 5,
    readers: [],
    errors: tally,
    failures: tally,
    rejections: [{ reason: 'requests', plan: 'default', total: count, last_window: 0 }],
  };
}

const NAMES = ['refused', 'failed', 'byRequests'];

/** The rates of each moment, oldest first. */
function rates(states) {
  const past = new Past();
  for (const it of states) past.add(it);
  return past.points('').map(({ values }) => {
    const found = NAMES.map((name) => values[name]);
    assert.equal(new Set(found).size, 1, 'all are counted alike');
    return found[0];
  });
}

suite('The past of the monitor', () => {
  test('a rate is over the time that passed', () => {
    const states = [state(0, 100), state(1000, 110), state(3000, 130), state(3500, 135)];
    assert.deepEqual(rates(states), [null, 10, 10, 10]);
    const past = new Past();
    for (const it of states) past.add(it);
    assert.equal(past.points('plan\ndefault').at(-1).values.byRequests, 10);
  });

  test('nothing is drawn over a gap', () => {
    const states = [state(0, 0), state(1000, 10), state(31_000, 310), state(32_000, 320)];
    assert.deepEqual(rates(states), [null, 10, undefined, null, 10]);
  });

  test('a state that comes twice is one', () => {
    assert.deepEqual(rates([state(0, 0), state(1000, 10), state(1000, 10), state(2000, 20)]), [null, 10, 10]);
  });

  test('a node that was started again counts from 0, whatever it has counted since', () => {
    const again = { started: BEGAN + 500 };
    const states = [state(0, 5), state(1000, 5), state(2000, 70_005, again), state(3000, 70_015, again)];
    assert.deepEqual(rates(states), [null, 0, undefined, null, 10]);
  });

  test('another node has another past', () => {
    const other = { name: 'b:2', started: BEGAN - 5_000_000 };
    const states = [state(0, 5), state(1000, 5), state(2000, 90_005, other), state(3000, 90_015, other)];
    assert.deepEqual(rates(states), [null, 10]);
  });

  test('a clock that is set back begins anew', () => {
    assert.deepEqual(rates([state(0, 0), state(1000, 10), state(-5000, 20), state(-4000, 30)]), [null, 10]);
  });
});
