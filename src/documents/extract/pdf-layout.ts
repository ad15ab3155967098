/**
 * From the pieces of text on a page, wherever they stand, to lines in reading order: columns, lines with their gaps, both
 * writing directions, tables. Geometry alone; y grows downwards, units are points.
 */

/** A run of text as the PDF draws it. */
export interface TextRun {
  text: string;
  left: number;
  right: number;
  baseline: number;
  /** Height of the font. */
  size: number;
}

/** Runs that belong together on one line, with no wide gap between. */
export interface Line {
  text: string;
  left: number;
  right: number;
  baseline: number;
  size: number;
}

/** What a page is, from top to bottom. `column` bounds are those of the column that the line is in. */
export type Element =
  | { kind: 'line'; line: Line; columnLeft: number; columnRight: number }
  | { kind: 'table'; rows: string[][]; size: number };

/** Shares of the font's size: a gap that is a space; a gap that is another cell or column; a step that is another line. */
const SPACE = 0.17;
const COLUMN_GAP = 1.25;
const SAME_LINE = 0.35;
/** Prose in columns: so many lines on each side, so wide (in sizes of the font), with so wide a gap between. */
const COLUMN_LINES = 4;
const COLUMN_WIDTH = 9;
const GUTTER_WIDTH = 0.6;
const MOST_SPLITS = 8;
const MOST_CANDIDATES = 500;

const RTL = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/g;
const LTR = /[[\p{L}\p{N}]--[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]]/gv;
const STRONG_LTR = /[\p{L}--[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]]/v;
const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
const HAS_RTL = new RegExp(RTL, '');
const isRtl = (text: string): boolean => HAS_RTL.test(text) && count(text, RTL) > count(text, LTR);

export function layOut(runs: readonly TextRun[]): Element[] {
  const lines = assemble(runs);
  return lines.length === 0 ? [] : readRegion(lines, 0);
}

/** Neighbours in the drawing order first, since that keeps columns apart; then pieces of one line that were drawn apart. */
export function assemble(runs: readonly TextRun[]): Line[] {
  const groups: TextRun[][] = [];
  let current: TextRun[] = [];
  let bounds = { left: 0, right: 0, baseline: 0, size: 0 };
  for (const run of runs) {
    const last = current.at(-1);
    if (run.text.trim() === '') {
      // A space says that words part; how far, their places say.
      if (last && sameLine(bounds, run) && !last.text.endsWith(' ')) current[current.length - 1] = { ...last, text: `${last.text} ` };
      continue;
    }
    if (last && sameLine(bounds, run) && gapBetween(bounds, run) < COLUMN_GAP * Math.max(bounds.size, run.size)) {
      if (isShadow(current, run)) continue;
      current.push(run);
      bounds = { left: Math.min(bounds.left, run.left), right: Math.max(bounds.right, run.right), baseline: run.size > bounds.size ? run.baseline : bounds.baseline, size: Math.max(bounds.size, run.size) };
    } else {
      current = [run];
      groups.push(current);
      bounds = { ...run };
    }
  }
  return joinNeighbours(groups).map(toLine).filter(({ text }) => text !== '');
}

const sameLine = (one: { baseline: number; size: number }, other: { baseline: number; size: number }): boolean => {
  const step = Math.abs(one.baseline - other.baseline);
  const [small, large] = [Math.min(one.size, other.size), Math.max(one.size, other.size)];
  // A smaller run may be raised or lowered.
  return step < SAME_LINE * large || (small < 0.85 * large && step < 0.6 * large);
};

const gapBetween = (one: { left: number; right: number }, other: { left: number; right: number }): number =>
  Math.max(other.left - one.right, one.left - other.right);

/** The same text drawn again a little aside, to look bold. */
const isShadow = (current: TextRun[], run: TextRun): boolean =>
  current.slice(-3).some((other) => other.text === run.text && run.text.trim() !== '' && Math.abs(other.left - run.left) < 0.15 * run.size && Math.abs(other.baseline - run.baseline) < 0.15 * run.size);

interface Group {
  runs: TextRun[];
  left: number;
  right: number;
  baseline: number;
  size: number;
}

function joinNeighbours(groups: TextRun[][]): TextRun[][] {
  const boxes: Group[] = groups.map((runs) => {
    const largest = runs.reduce((one, other) => (other.size > one.size ? other : one));
    const [left, right] = boundsOf(runs);
    return { runs, left, right, baseline: largest.baseline, size: largest.size };
  });
  boxes.sort((one, other) => one.baseline - other.baseline || one.left - other.left);
  const open: Group[] = [];
  const done: Group[] = [];
  for (const box of boxes) {
    for (let at = open.length - 1; at >= 0; at--) {
      const other = open[at];
      if (other && other.baseline < box.baseline - 2 * Math.max(box.size, other.size)) open.splice(at, 1);
    }
    const neighbour = open.find((other) => Math.abs(other.baseline - box.baseline) < SAME_LINE * Math.min(other.size, box.size) + 0.01 &&
      gapBetween(other, box) < 0.6 * Math.max(other.size, box.size) && gapBetween(other, box) > -0.5 * Math.min(other.size, box.size));
    if (neighbour) {
      neighbour.runs.push(...box.runs);
      neighbour.left = Math.min(neighbour.left, box.left);
      neighbour.right = Math.max(neighbour.right, box.right);
    } else {
      open.push(box);
      done.push(box);
    }
  }
  return done.map(({ runs }) => runs);
}

/** Text of the runs from left to right, or from right to left where most of it is so written. */
function toLine(runs: TextRun[]): Line {
  const sorted = runs.length === 1 ? runs : inReadingOrder(runs, isRtl(runs.map((run) => run.text).join('')));
  let text = '';
  let before: TextRun | undefined;
  for (const run of sorted) {
    if (before && !/\s$/.test(text) && !/^\s/.test(run.text) && gapBetween(before, run) > SPACE * Math.min(before.size, run.size)) text += ' ';
    text += run.text;
    if (run.text.trim() !== '') before = run;
  }
  const sized = runs.filter((run) => run.text.trim() !== '');
  const largest = (sized.length > 0 ? sized : runs).reduce((one, other) => (other.text.length * other.size > one.text.length * one.size ? other : one));
  const [left, right] = boundsOf(runs);
  return {
    text: text.replace(/\s{2,}|[^\S ]/g, ' ').trim(),
    left,
    right,
    baseline: largest.baseline,
    size: largest.size,
  };
}

function inReadingOrder(runs: TextRun[], rtl: boolean): TextRun[] {
  const sorted = [...runs].sort((one, other) => one.left + one.right - other.left - other.right);
  const foreign = (run: TextRun): boolean => (rtl ? STRONG_LTR.test(run.text) || /^[\d\s.,:/%+-]*\d[\d\s.,:/%+-]*$/.test(run.text) : HAS_RTL.test(run.text));
  if (rtl) sorted.reverse();
  // What runs against the line's direction is read in its own.
  for (let start = 0; start < sorted.length; start++) {
    if (!foreign(sorted[start]!)) continue;
    let end = start;
    for (let at = start + 1; at < sorted.length && (foreign(sorted[at]!) || isNeutral(sorted[at]!.text)); at++) if (foreign(sorted[at]!)) end = at;
    sorted.splice(start, end - start + 1, ...sorted.slice(start, end + 1).reverse());
    start = end;
  }
  return sorted;
}

const isNeutral = (text: string): boolean => !/[\p{L}\p{N}]/u.test(text);

/** Lines of a region: columns one after the other where there are some, else from top to bottom. */
function readRegion(lines: Line[], depth: number): Element[] {
  const gutter = depth < MOST_SPLITS ? findGutter(lines) : null;
  if (gutter === null) return readRows(lines);
  const elements: Element[] = [];
  const [columnLeft, columnRight] = boundsOf(lines);
  let band: Line[] = [];
  const flush = (): void => {
    const left = band.filter((line) => line.right <= gutter);
    const right = band.filter((line) => line.left >= gutter);
    for (const side of isRtl(band.map(({ text }) => text).join('')) ? [right, left] : [left, right]) if (side.length > 0) elements.push(...readRegion(side, depth + 1));
    band = [];
  };
  for (const line of [...lines].sort(byPosition)) {
    if (line.left < gutter && line.right > gutter) {
      flush();
      elements.push({ kind: 'line', line, columnLeft, columnRight });
    } else band.push(line);
  }
  flush();
  return elements;
}

function boundsOf(boxes: readonly { left: number; right: number }[]): [left: number, right: number] {
  let [left, right] = [Infinity, -Infinity];
  for (const box of boxes) [left, right] = [Math.min(left, box.left), Math.max(right, box.right)];
  return [left, right];
}

const byPosition = (one: Line, other: Line): number => one.baseline - other.baseline || one.left - other.left;

/** An x between two columns of prose: hardly a line crosses it, and on both sides stand lines of text. Null: none. */
function findGutter(lines: Line[]): number | null {
  if (lines.length < 2 * COLUMN_LINES) return null;
  const [left, right] = boundsOf(lines);
  let best: { x: number; crossing: number; distance: number } | null = null;
  const candidates = new Set(lines.map((line) => Math.floor(line.left)));
  for (const x of [...candidates].slice(0, MOST_CANDIDATES)) {
    if (x < left + 0.15 * (right - left) || x > left + 0.85 * (right - left)) continue;
    let crossing = 0;
    const sides: [Line[], Line[]] = [[], []];
    for (const line of lines) {
      if (line.right <= x) sides[0].push(line);
      else if (line.left >= x) sides[1].push(line);
      else crossing += 1;
    }
    if (crossing > 0.3 * lines.length || !areColumns(sides, crossing, x)) continue;
    const distance = Math.abs(x - (left + right) / 2);
    if (!best || crossing < best.crossing || (crossing === best.crossing && distance < best.distance)) best = { x, crossing, distance };
  }
  return best?.x ?? null;
}

/** Both sides are prose; or one is, and the other does not keep to its lines, as the cells of a table would. */
function areColumns(sides: [Line[], Line[]], crossing: number, x: number): boolean {
  if (sides.some((side) => side.length < COLUMN_LINES) || !overlap(...sides)) return false;
  const gap = x - Math.max(...sides[0].map(({ right }) => right));
  if (gap < GUTTER_WIDTH * Math.min(sides[0][0]!.size, sides[1][0]!.size)) return false;
  const prose = sides.map((side) => side.filter(({ left, right, size }) => right - left >= COLUMN_WIDTH * size).length >= 0.55 * side.length);
  if (prose[0] && prose[1]) return true;
  if ((!prose[0] && !prose[1]) || crossing > 0.05 * (sides[0].length + sides[1].length)) return false;
  const [fewer, other] = sides[0].length < sides[1].length ? sides : [sides[1], sides[0]];
  const aligned = fewer.filter((line) => other.some(({ baseline }) => Math.abs(baseline - line.baseline) < 0.05 * line.size)).length;
  return aligned < 0.5 * fewer.length;
}

/** The two stand side by side for most of the height of the shorter one. */
function overlap(one: Line[], other: Line[]): boolean {
  const range = (lines: Line[]): [number, number] => boundsOf(lines.map(({ baseline }) => ({ left: baseline, right: baseline })));
  const [[top, bottom], [otherTop, otherBottom]] = [range(one), range(other)];
  const common = Math.min(bottom, otherBottom) - Math.max(top, otherTop);
  return common > 0.3 * Math.min(bottom - top, otherBottom - otherTop);
}

function readRows(lines: Line[]): Element[] {
  const [columnLeft, columnRight] = boundsOf(lines);
  const rows: Line[][] = [];
  for (const line of [...lines].sort(byPosition)) {
    const row = rows.at(-1);
    if (row && row[0] && Math.abs(row[0].baseline - line.baseline) < SAME_LINE * Math.min(row[0].size, line.size) + 0.01) row.push(line);
    else rows.push([line]);
  }
  for (const row of rows) row.sort((one, other) => one.left - other.left);
  const elements: Element[] = [];
  for (let start = 0; start < rows.length;) {
    const table = tableAt(rows, start);
    if (table) {
      elements.push({ kind: 'table', rows: table.cells, size: rows[start]![0]!.size });
      start = table.end;
      continue;
    }
    const row = rows[start++]!;
    if (isRtl(row.map(({ text }) => text).join(''))) row.reverse();
    const [left, right] = boundsOf(row);
    const line: Line = { text: row.map(({ text }) => text).join(' '), left, right, baseline: row[0]!.baseline, size: Math.max(...row.map(({ size }) => size)) };
    elements.push({ kind: 'line', line, columnLeft, columnRight });
  }
  return elements;
}

/** Three rows and more of two cells and more that stand in columns with nothing between them. Null: no table here. */
function tableAt(rows: Line[][], start: number): { cells: string[][]; end: number } | null {
  let end = start;
  while (end < rows.length && rows[end]!.length >= 2 && (end === start || near(rows[end - 1]!, rows[end]!))) end++;
  for (; end - start >= 3; end--) {
    const columns = columnsOf(rows.slice(start, end));
    if (columns === null) continue;
    const cells = rows.slice(start, end).map((row) => {
      const texts = columns.map(() => '');
      for (const cell of row) {
        const at = columns.findIndex(({ left, right }) => cell.left < right && cell.right > left);
        texts[at] = texts[at] ? `${texts[at]} ${cell.text}` : cell.text;
      }
      return texts;
    });
    return { cells, end };
  }
  return null;
}

const near = (one: Line[], other: Line[]): boolean => other[0]!.baseline - one[0]!.baseline < 4 * Math.max(one[0]!.size, other[0]!.size);

function columnsOf(rows: Line[][]): { left: number; right: number }[] | null {
  const columns: { left: number; right: number }[] = [];
  for (const cell of rows.flat().sort((one, other) => one.left - other.left)) {
    const last = columns.at(-1);
    if (last && cell.left < last.right) last.right = Math.max(last.right, cell.right);
    else columns.push({ left: cell.left, right: cell.right });
  }
  const filled = rows.flat().length / (rows.length * columns.length);
  return columns.length >= 2 && columns.length <= 40 && filled > 0.5 && rows.every((row) => row.length <= columns.length) ? columns : null;
}
