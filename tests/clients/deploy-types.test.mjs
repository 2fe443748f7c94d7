/**
 * Files of `deploy/` by the types that others publish of them: Prometheus Operator's and the Gateway
 * API's objects, and Grafana's dashboards. tsc refuses fields that there are not, the models' own validation
 * what has another form.
 */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import { PodMonitor, PrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { parse } from 'yaml';

import { runPackage } from './support/command.mjs';

const deploy = (name) => readFile(join(import.meta.dirname, '../../deploy', name), 'utf8');

const monitor = parse(await deploy('kubernetes/monitoring/pod-monitor.yaml'));
const route = parse(await deploy('kubernetes/http-route.yaml'));
const dashboard = JSON.parse(await deploy('grafana.json'));
// Grafana writes it beside each query, and does not have it in its types.
for (const variable of dashboard.templating.list) delete variable.definition;

/** The command of the README that makes an object of the alert rules. */
async function rule() {
  const readme = await deploy('README.md');
  const made = readme.match(/printf '(apiVersion[^']*)'; sed 's\/\^\/  \/' deploy\/alerts\.yaml/);
  assert.ok(made, 'the README says how');
  const rules = (await deploy('alerts.yaml')).replace(/^/gm, '  ');
  return parse(made[1].replaceAll('\\n', '\n') + rules);
}

/** What tsc says of values that should have these types. */
async function check(values) {
  const directory = await mkdtemp(join(import.meta.dirname, '.deploy-types-'));
  try {
    const lines = Object.entries(values).map(
      ([type, value]) => `export const a${type}: ${type} = ${JSON.stringify(value)};`,
    );
    const source = `
      import type { IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
      import type { IPodMonitor, IPrometheusRule } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
      import type { Dashboard } from '@grafana/schema';
      ${lines.join('\n')}`;
    const file = join(directory, 'values.ts');
    await writeFile(file, source);
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022'];
    return await runPackage('typescript/bin/tsc', [...options, file]);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('all have the types that are published of them', async () => {
  const values = { IPodMonitor: monitor, IPrometheusRule: await rule(), IHTTPRoute: route, Dashboard: dashboard };
  const { code, output } = await check(values);
  assert.equal(code, 0, output);
});

test('a misspelled field is seen in each', async () => {
  const wrong = (value, change) => {
    const copy = structuredClone(value);
    change(copy);
    return copy;
  };
  const values = {
    IPodMonitor: wrong(monitor, (it) => { it.spec.podMetricsEndpoints[0].prot = 'x'; }),
    IPrometheusRule: wrong(await rule(), (it) => { it.spec.groups[0].rules[0].form = '5m'; }),
    IHTTPRoute: wrong(route, (it) => { it.spec.rules[0].timeouts.reqest = '0s'; }),
    Dashboard: wrong(dashboard, (it) => { it.panels[0].titel = 'x'; }),
  };
  const { code, output } = await check(values);
  assert.notEqual(code, 0);
  for (const field of ['prot', 'form', 'reqest', 'titel']) assert.match(output, new RegExp(`'"?${field}"?'`));
});

test('the objects of others have the forms that are asked of them', async () => {
  new PodMonitor(monitor).validate();
  new PrometheusRule(await rule()).validate();
  new HTTPRoute(route).validate();
  const wrong = structuredClone(monitor);
  wrong.spec.podMetricsEndpoints[0].interval = 'often';
  assert.throws(() => new PodMonitor(wrong).validate(), /interval/);
});
