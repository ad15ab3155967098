/** Small plots of text: a line of columns, and a bar. */

const COLUMNS = '▁▂▃▄▅▆▇█';
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** One character a value, from nothing to the highest; a space for nothing at all. More values than `width` are added up to fit. */
export function sparkline(values: number[], width: number): string {
  const each = Math.max(1, Math.ceil(values.length / width));
  const sums = Array.from({ length: Math.ceil(values.length / each) }, (_, index) =>
    values.slice(index * each, (index + 1) * each).reduce((sum, value) => sum + value, 0));
  const highest = Math.max(...sums, 0);
  return sums.map((sum) => (sum <= 0 ? ' ' : COLUMNS[Math.min(COLUMNS.length - 1, Math.floor((sum / highest) * COLUMNS.length))])).join('');
}

/** At most `width` wide; what is more than nothing shows. */
export function bar(value: number, highest: number, width: number): string {
  if (value <= 0 || highest <= 0) return '';
  const eighths = Math.max(1, Math.round((Math.min(1, value / highest)) * width * 8));
  return '█'.repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? '');
}
