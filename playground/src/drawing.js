/** When to draw what keeps changing: with the next picture, unless drawing takes so long that it is felt. */

/** Drawing that takes longer than this leaves the page time for its reader. */
const FELT_MS = 50;

/** How many times as long as it took it rests then, so that a button still answers. */
const REST = 4;

/**
 * Makes a function that draws soon, however often it is called until then.
 *
 * @param {() => void} draw
 * @returns {() => void}
 */
export function drawer(draw) {
  let waiting = false;
  let restUntil = 0;
  const now = () => {
    waiting = false;
    const began = performance.now();
    try {
      draw();
    } finally {
      const ended = performance.now();
      if (ended - began > FELT_MS) restUntil = ended + (ended - began) * REST;
    }
  };
  return () => {
    if (waiting) return;
    waiting = true;
    const rest = restUntil - performance.now();
    if (rest > 0) setTimeout(() => requestAnimationFrame(now), rest);
    else requestAnimationFrame(now);
  };
}
