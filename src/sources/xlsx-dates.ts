/** Dates of a workbook: which number formats show one (ECMA-376, 18.8.30). */
import type { DateKind } from './serial-dates.ts';

/** Formats that need no code in the file, those of East Asian locales among them. */
const BUILT_IN: readonly [from: number, to: number, kind: DateKind][] = [
  [14, 17, 'date'], [18, 21, 'time'], [22, 22, 'datetime'], [27, 31, 'date'], [32, 35, 'time'], [36, 36, 'date'],
  [45, 45, 'time'], [46, 46, 'duration'], [47, 47, 'time'], [50, 54, 'date'], [55, 56, 'time'], [57, 58, 'date'],
];

export const builtInKind = (id: number): DateKind | null => BUILT_IN.find(([from, to]) => id >= from && id <= to)?.[2] ?? null;

/** Characters of a number format; spreadsheet programs allow no more. */
const LONGEST_FORMAT = 255;

/** What a custom format shows, by the section for positive numbers; null: not a date. */
export function formatKind(format: string): DateKind | null {
  const code = format.slice(0, LONGEST_FORMAT);
  if (/\[(h+|m+|s+)\]/i.test(code)) return 'duration';
  const bare = code
    .replace(/"[^"]*"|\\[\s\S]|_[\s\S]|\*[\s\S]|\[[^\]]*\]/g, '')
    .split(';')[0] ?? '';
  if (/general|standard/i.test(bare)) return null;
  const clock = bare.replace(/am\/pm|a\/p|上午\/下午|오전\/오후/gi, 'h').toLowerCase();
  const time = /[hs]/.test(clock);
  // A month, unless it stands beside hours or seconds and means minutes.
  const month = /m/.test(clock.replace(/h[^ymdhs]*m{1,2}(?!m)/g, 'h').replace(/m{1,2}[^ymdhs]*(?=s)/g, ''));
  // `b` and `e` are years of other calendars, but `e` is also an exponent.
  const date = month || /[yd]|bb|(?<![a-z0#?.])g*e+(?![a-z+-])/.test(clock);
  if (date) return time ? 'datetime' : 'date';
  return time ? 'time' : null;
}
