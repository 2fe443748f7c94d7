/**
 * Serves the pages that run in the browser, from an origin of their own, with the client library
 * bundled as an application would bundle it. The other scripts of `pages/` are there under their
 * names, bundled as well: workers load them.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { build } from 'esbuild';

const PAGES = join(import.meta.dirname, '../pages');

export class Pages {
  #server;

  /** @param {string} script a file in `pages/`, whose exports become `window.client` */
  static async start(script) {
    const bundle = await bundleOf(script);
    const pages = new Pages();
    pages.#server = createServer((request, response) => {
      if (request.url === '/client.js') {
        response.setHeader('content-type', 'text/javascript');
        response.end(bundle);
      } else if (/^\/[\w-]+-worker\.js$/.test(request.url)) {
        bundleOf(request.url.slice(1)).then((worker) => {
          response.setHeader('content-type', 'text/javascript');
          response.end(worker);
        });
      } else {
        response.setHeader('content-type', 'text/html');
        response.end(
          '<!doctype html><meta charset="utf-8"><title>A page</title><script src="client.js"></script>',
        );
      }
    });
    pages.#server.listen(0, '127.0.0.1');
    await once(pages.#server, 'listening');
    pages.origin = `http://127.0.0.1:${pages.#server.address().port}`;
    return pages;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function bundleOf(script) {
  const bundle = await build({
    entryPoints: [join(PAGES, script)],
    bundle: true,
    format: 'iife',
    globalName: 'client',
    write: false,
  });
  return bundle.outputFiles[0].text;
}
