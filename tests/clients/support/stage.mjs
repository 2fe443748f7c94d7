/**
 * Everything that a browser test needs: pages of one origin, a server of another behind a proxy
 * that can cut, and a browser.
 */

import { Api } from './api.mjs';
import { Browser } from './browser.mjs';
import { Pages } from './pages.mjs';
import { CuttingProxy } from './proxy.mjs';
import { Server } from './server.mjs';

export class Stage {
  #parts = [];

  /**
   * @param {string} script the page's, in `pages/`
   * @param {string} [sections] more of the server's configuration
   */
  static async start(script, sections = '') {
    const stage = new Stage();
    try {
      stage.proxy = await stage.#keep(CuttingProxy.start());
      stage.pages = await stage.#keep(Pages.start(script));
      const toml = [
        `public_url = "${stage.proxy.url}"`,
        `allowed_origins = ["${stage.pages.origin}"]`,
        sections,
      ];
      stage.server = await stage.#keep(Server.start(toml.join('\n')));
      stage.proxy.lead(stage.server.port);
      stage.token = await stage.server.token();
      stage.api = new Api(stage.server.url, stage.token);
      stage.browser = await stage.#keep(Browser.start());
    } catch (error) {
      await stage.stop();
      throw error;
    }
    return stage;
  }

  async #keep(starting) {
    const part = await starting;
    this.#parts.push(part);
    return part;
  }

  /** Opens the page in a new tab, and forgets what earlier tests sent. */
  openPage() {
    this.proxy.forget();
    return this.browser.open(`${this.pages.origin}/`);
  }

  /** Stops what was started, the last first. */
  async stop() {
    for (const part of this.#parts.reverse()) await part.stop();
  }
}
