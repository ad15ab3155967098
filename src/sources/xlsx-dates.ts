/** Dates of a workbook: which number formats show one, and what a serial number stands for (ECMA-376, 18.8.30 and 18.17.4). */

export type DateKind = 'date' | 'time' | 'datetime' | 'duration';

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

const DAY = 86_400_000;
/** The day that a serial number counts from. */
const EPOCH_1904 = Date.UTC(1904, 0, 1);
const EPOCH_1900 = Date.UTC(1899, 11, 30);
const LAST_SERIAL = 2_958_466;

const two = (value: number): string => String(value).padStart(2, '0');

/**
 * ISO 8601 in local time: `2024-01-31`, `2024-01-31T12:30:00`, `12:30:00`, or a duration `PT26H30M`. A time of day is
 * never dropped for a format that does not show it. Null: no such date, the number is a number.
 */
export function isoOf(serial: number, kind: DateKind, date1904: boolean): string | null {
  if (kind === 'duration') return durationOf(serial);
  if (serial < 0 || serial >= LAST_SERIAL) return null;
  let days = Math.floor(serial);
  let milliseconds = Math.round((serial - days) * DAY);
  if (milliseconds === DAY) [days, milliseconds] = [days + 1, 0];
  const clock = clockOf(milliseconds);
  if (kind === 'time' && days === 0) return clock;
  const date = dateOf(days, date1904);
  return kind === 'date' && milliseconds === 0 ? date : `${date}T${clock}`;
}

function dateOf(days: number, date1904: boolean): string {
  if (date1904) return new Date(EPOCH_1904 + days * DAY).toISOString().slice(0, 10);
  // Spreadsheet programs took over from Lotus that 1900 was a leap year: day 60 is its 29 February, and the days before are one off.
  if (days === 60) return '1900-02-29';
  return new Date(EPOCH_1900 + (days < 60 ? days + 1 : days) * DAY).toISOString().slice(0, 10);
}

function clockOf(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  const fraction = milliseconds % 1000;
  const clock = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return fraction === 0 ? clock : `${clock}.${String(fraction).padStart(3, '0')}`;
}

function durationOf(days: number): string | null {
  if (Math.abs(days) >= LAST_SERIAL) return null;
  const milliseconds = Math.round(Math.abs(days) * DAY);
  const [hours, minutes, seconds] = [Math.floor(milliseconds / 3_600_000), Math.floor(milliseconds / 60_000) % 60, (milliseconds % 60_000) / 1000];
  const parts = [hours && `${hours}H`, minutes && `${minutes}M`, seconds && `${seconds}S`].filter(Boolean).join('');
  return `${days < 0 && parts ? '-' : ''}PT${parts || '0S'}`;
}
