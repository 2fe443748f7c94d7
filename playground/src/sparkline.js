/** A small picture of how the tokens came: a bar for each moment, a hole for each gap. */

import { shape } from './dom.js';

const HEIGHT = 16;
const STEP = 3;
const BAR = 2;

/**
 * @param {Element} svg
 * @param {number[]} bins
 */
export function drawSparkline(svg, bins) {
  // A burst after a cut would make everything else vanish, so heights grow like square roots.
  const most = Math.sqrt(Math.max(1, ...bins));
  const width = Math.max(1, bins.length) * STEP;
  svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
  svg.setAttribute('width', String(width));
  svg.setAttribute('height', String(HEIGHT));
  const bars = bins.map((count, at) => {
    const height = count === 0 ? 1 : Math.max(2.5, (HEIGHT * Math.sqrt(count)) / most);
    return shape('rect', {
      x: at * STEP,
      y: HEIGHT - height,
      width: BAR,
      height,
      rx: 1,
      class: count === 0 ? 'none' : 'some',
    });
  });
  svg.replaceChildren(...bars);
}
