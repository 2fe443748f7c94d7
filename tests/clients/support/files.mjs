/** Serves the files of a directory, from an origin of its own. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';

export class Files {
  #server;

  /** @param {string} directory */
  static async start(directory) {
    const files = new Files();
    files.#server = createServer(async (request, response) => {
      try {
        const text = await readFile(join(directory, basename(request.url)));
        response.setHeader('content-type', 'text/html');
        response.end(text);
      } catch {
        response.writeHead(404).end();
      }
    });
    files.#server.listen(0, '127.0.0.1');
    await once(files.#server, 'listening');
    files.origin = `http://127.0.0.1:${files.#server.address().port}`;
    return files;
  }

  async stop() {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
