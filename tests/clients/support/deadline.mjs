/**
 * Waiting for a condition, with a deadline. Tests never sleep to "give it time".
 */

const POLL_MS = 10;

/**
 * Waits until `condition` gives something truthy, and answers with that.
 *
 * @template T
 * @param {string} what for the error message
 * @param {() => T | Promise<T>} condition
 * @param {number} [limitMs]
 * @returns {Promise<T>}
 */
export async function until(what, condition, limitMs = 45_000) {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline)
      throw new Error(`${limitMs} ms passed and still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/**
 * Watches that something stays true. Only for proving that nothing happens, which takes time.
 *
 * @param {string} what for the error message
 * @param {() => boolean} condition
 * @param {number} durationMs
 */
export async function stays(what, condition, durationMs) {
  const end = performance.now() + durationMs;
  do {
    if (!condition()) throw new Error(`no longer so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  } while (performance.now() < end);
}
