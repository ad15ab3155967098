/** Which delimiter a text is separated by. */

export type Delimiter = ',' | ';' | '\t' | '|';

const DELIMITERS: readonly Delimiter[] = [',', ';', '\t', '|'];
const LINES = 50;

/**
 * The delimiter that gives the steadiest column count over the first 50 lines that are not blank; null when none
 * does, which is a single column. `preferred` wins where several are equally steady.
 */
export function sniffDelimiter(sample: string, whole: boolean, preferred: Delimiter): Delimiter | null {
  let best: { delimiter: Delimiter; steadiness: number; columns: number } | null = null;
  for (const delimiter of [preferred, ...DELIMITERS.filter((other) => other !== preferred)]) {
    const { steadiness, columns } = steadinessOf(columnCounts(sample, delimiter, whole));
    if (columns < 2) continue;
    if (!best || steadiness > best.steadiness || (steadiness === best.steadiness && columns > best.columns && delimiter !== preferred && best.delimiter !== preferred)) {
      best = { delimiter, steadiness, columns };
    }
  }
  return best?.delimiter ?? null;
}

/**
 * The share of lines that have the commonest column count. Text in which a delimiter is only now and then met (commas
 * in prose) has one column most often; ragged rows count as separated when nearly every line has the delimiter.
 */
function steadinessOf(counts: number[]): { steadiness: number; columns: number } {
  const frequency = new Map<number, number>();
  for (const count of counts) frequency.set(count, (frequency.get(count) ?? 0) + 1);
  let columns = 0;
  let lines = 0;
  for (const [count, times] of frequency) {
    if (times > lines || (times === lines && count > columns)) [columns, lines] = [count, times];
  }
  const steadiness = counts.length === 0 ? 0 : lines / counts.length;
  const separated = counts.filter((count) => count > 1).length;
  const trusted = steadiness >= 0.5 || separated >= counts.length * 0.9;
  return { steadiness, columns: trusted ? columns : 0 };
}

/** Columns of each line that is not blank, quotes respected; a line that the sample cuts off is left out. */
function columnCounts(sample: string, delimiter: Delimiter, whole: boolean): number[] {
  const counts: number[] = [];
  let columns = 1;
  let blank = true;
  let cellStart = true;
  let quoted = false;
  for (let at = 0; at < sample.length && counts.length < LINES; at++) {
    const character = sample[at];
    if (quoted) {
      if (character !== '"') continue;
      if (sample[at + 1] === '"') at++;
      else quoted = false;
    } else if (character === '\n' || character === '\r') {
      if (!blank) counts.push(columns);
      [columns, blank, cellStart] = [1, true, true];
    } else {
      if (character === delimiter) columns += 1;
      if (character === '"' && cellStart) quoted = true;
      cellStart = character === delimiter;
      if (character !== ' ') blank = false;
    }
  }
  if (!blank && counts.length < LINES && (whole || counts.length === 0)) counts.push(columns);
  return counts;
}
