/** The monitor of a node among others: the nodes of a cluster, streams of other nodes, and Redis that is away. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';

import { expectAccessible } from './support/accessible.mjs';
import { Api, demo } from './support/api.mjs';
import { Program } from './support/cluster.mjs';
import { until } from './support/deadline.mjs';
import { freePort } from './support/free_port.mjs';
import { Monitor, onRedis } from './support/monitor.mjs';
import { Server } from './support/server.mjs';

suite('The monitor of a cluster', () => {
  let directory, port, redis, monitor, other, tab;

  const startRedis = () =>
    Program.start('redis-server', ['--port', `${port}`, '--bind', '127.0.0.1', '--save', ''], directory, port);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tailrace-monitor-'));
    port = await freePort();
    redis = await startRedis();
    monitor = await Monitor.start(onRedis(port));
    other = await Server.start(onRedis(port));
    tab = await monitor.watch(await monitor.operator());
    await tab.page.setViewportSize({ width: 1280, height: 1000 });
  });

  after(async () => {
    await tab?.close();
    await monitor?.stop();
    await other?.stop();
    await redis?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const node = (server) => tab.page.locator('#nodes-body tr', { hasText: `:${server.port}` });
  const says = (server, pattern) =>
    until(`${server.port} is ${pattern}`, async () => {
      const row = node(server);
      return (await row.count()) === 1 && pattern.test(await row.innerText());
    });

  test('each node is shown as it says of itself, ours marked', async () => {
    const api = new Api(other.url, await other.token('--sub', 'ann', '--plan', 'default'));
    await says(monitor.server, /this one\s+Serving\s+0\s+now\s/);
    const { id } = await api.create({ ...demo({ tokens: 100_000 }), on_disconnect: 'continue' });
    const ours = await monitor.stream({ sub: 'bob' });
    await says(other, /Serving\s+1\s+(now|\d s ago)\s/);
    await says(monitor.server, /this one\s+Serving\s+1\s+now/);
    await tab.row(ours).waitFor();
    assert.equal(await tab.row(id).count(), 0, 'those of other nodes are shown there');
    assert.equal(await tab.locator('#redis-title').innerText(), 'Redis answers');
    await tab.picture('nodes', { fullPage: true });
    await expectAccessible(tab.page, 'nodes');
    // Any node cancels any stream.
    const headers = { authorization: `Bearer ${await monitor.operator()}` };
    const path = `${monitor.server.url}/v1/streams/${id}/cancel`;
    assert.equal((await fetch(path, { method: 'POST', headers })).status, 202);
    await until('it has ended', async () => (await api.snapshot(id)).finish_reason === 'cancelled');
  });

  test('a stream that is read on another node is not alone', async () => {
    const id = await monitor.stream({ sub: 'cleo', readers: 0 });
    await tab.reads(`#stream-${id} .readers`, /^none$/);
    const token = await other.token('--sub', 'cleo', '--plan', 'default');
    const leaving = new AbortController();
    const headers = { authorization: `Bearer ${token}` };
    const { body } = await fetch(`${other.url}/v1/streams/${id}/events`, { headers, signal: leaving.signal });
    await body.getReader().read();
    await tab.reads(`#stream-${id} .readers`, /^elsewhere$/);
    leaving.abort();
    await (await monitor.as('cleo')).delete(id);
  });

  test('Redis that is away is told, and that it is back', async () => {
    await redis.stop();
    await tab.shows('Not ready');
    await tab.reads('#banner', /^Redis does not answer: this node takes no new generations/);
    await tab.reads('#redis-title', /^Redis is away$/);
    await tab.reads('#redis tbody tr', /away\s+\d+/);
    // We do not know of the other; of ourselves we do.
    await says(other, /Not known here/);
    await tab.reads('#attention', /0 nodes away now/);
    await says(monitor.server, /this one\s+Not ready/);
    await tab.picture('redis-away', { fullPage: true });
    await expectAccessible(tab.page, 'Redis is away');
    redis = await startRedis();
    await tab.shows('Serving');
    await says(other, /Serving/);
    assert.equal(await tab.locator('#banner').isVisible(), false);
  });

  test('a node that drains says so, and one that is gone leaves the list', async () => {
    const api = new Api(other.url, await other.token('--sub', 'dora', '--plan', 'default'));
    await api.create({ ...demo({ tokens: 100_000 }), on_disconnect: 'continue' });
    other.drain();
    await says(other, /Draining/);
    await until('it is gone', async () => (await node(other).count()) === 0);
  });

  test('a node that dies is away, and stays in the list', async () => {
    const dying = await Server.start(onRedis(port));
    await says(dying, /Serving/);
    await dying.kill();
    await says(dying, /Away/);
    await tab.reads('#attention', /1 node away now/);
    // Its lease is over by then.
    await says(dying, /Away\s+\d+\s+([89]|1\d) s ago/);
  });
});
