/**
 * Markdown that breaks off in the middle, as if its writer had closed what is open: otherwise the stars of
 * a bold word would be seen until its end has come.
 */

/**
 * @param {string} text a block that is being written, and is not code
 */
export function mend(text) {
  const start = text.lastIndexOf('\n') + 1;
  return text.slice(0, start) + mendLine(text.slice(start));
}

/** @param {string} line */
function mendLine(line) {
  // Code first: what is in it is no markup.
  const outside = line.replace(/`[^`]*`/g, (code) => ' '.repeat(code.length));
  const tick = outside.indexOf('`');
  if (tick >= 0) return tick === line.length - 1 ? line.slice(0, -1) : `${line}\``;
  const link = /!?\[([^\]]*)(?:\]|\]\([^)]*)?$/.exec(outside);
  // Its words, without where it leads; of a picture nothing. A box of a task list is no link.
  if (link && !/^\s*(?:[-*+]|\d+[.)])\s+\[[ x]?\]?$/i.test(line)) {
    const words = link[0].startsWith('!') ? '' : line.slice(link.index + 1).split(']', 1)[0];
    return mendLine(line.slice(0, link.index) + words);
  }
  const bare = line.replace(/(^|\s)(?:\*{1,3}|_{1,2}|~{1,2})$/, '$1');
  if (bare !== line && bare.trim() !== '') return bare;
  return closeStars(line, outside);
}

/**
 * @param {string} line
 * @param {string} outside the same without its code
 */
function closeStars(line, outside) {
  const half = /[^*\s]\*$/.test(outside) && isOdd(outside.match(/\*\*/g));
  let mended = half ? `${line}*` : line;
  const stars = half ? `${outside}*` : outside;
  const single = stars.replace(/\*\*/g, '').match(/(?<=^|[\s(])\*(?=\S)|(?<=\S)\*/g);
  if (isOdd(single)) mended = `${mended.trimEnd()}*`;
  if (isOdd(stars.match(/\*\*/g))) mended = `${mended.trimEnd()}**`;
  if (isOdd(stars.match(/~~/g))) mended = `${mended.trimEnd()}~~`;
  return mended;
}

/** @param {readonly unknown[] | null} found */
function isOdd(found) {
  return (found?.length ?? 0) % 2 === 1;
}
