/** What axe-core finds in a page. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const AXE = await readFile(join(import.meta.dirname, '../node_modules/axe-core/axe.min.js'), 'utf8');

/**
 * No finding that is serious or critical. The page's policy keeps axe out of the page, so it runs where the
 * debugger's scripts run.
 *
 * @param {import('playwright-core').Page} page
 * @param {string} what for the error message
 */
export async function expectAccessible(page, what) {
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', {
    frameId: frameTree.frame.id,
  });
  await session.send('Runtime.evaluate', { expression: AXE, contextId });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    contextId,
    awaitPromise: true,
    returnByValue: true,
    expression: `axe.run(document, { resultTypes: ['violations'] }).then(({ violations, passes }) => ({
      passes: passes.length,
      found: violations.map(({ id, impact, nodes }) =>
        ({ id, impact, nodes: nodes.map(({ html, failureSummary }) => html.slice(0, 160) + failureSummary) })),
    }))`,
  });
  await session.detach();
  assert.equal(exceptionDetails, undefined);
  const { found, passes } = result.value;
  assert.ok(passes > 10, 'axe has looked');
  const grave = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(grave, [], what);
}
