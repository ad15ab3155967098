/** What a serial number stands for in a spreadsheet program: days since a day that programs do not agree on (ECMA-376, 18.17.4). */

export type DateKind = 'date' | 'time' | 'datetime' | 'duration';

/** Excel's two, and that of Google Sheets, which knows no 29 February 1900 and goes below zero. */
export type DateSystem = '1900' | '1904' | 'google';

const DAY = 86_400_000;
/** The day that a serial number counts from. */
const EPOCH_1904 = Date.UTC(1904, 0, 1);
const EPOCH_1900 = Date.UTC(1899, 11, 30);
const LAST_SERIAL = 2_958_466;
/** The first day of the year 1. */
const FIRST_SERIAL = -693_593;

const two = (value: number): string => String(value).padStart(2, '0');

/**
 * ISO 8601 in local time: `2024-01-31`, `2024-01-31T12:30:00`, `12:30:00`, or a duration `PT26H30M`. A time of day is
 * never dropped for a format that does not show it. Null: no such date, the number is a number.
 */
export function isoOf(serial: number, kind: DateKind, system: DateSystem): string | null {
  if (kind === 'duration') return durationOf(serial);
  if (serial < (system === 'google' ? FIRST_SERIAL : 0) || serial >= LAST_SERIAL) return null;
  let days = Math.floor(serial);
  let milliseconds = Math.round((serial - days) * DAY);
  if (milliseconds === DAY) [days, milliseconds] = [days + 1, 0];
  const clock = clockOf(milliseconds);
  if (kind === 'time' && days === 0) return clock;
  const date = dateOf(days, system);
  return kind === 'date' && milliseconds === 0 ? date : `${date}T${clock}`;
}

function dateOf(days: number, system: DateSystem): string {
  if (system === 'google') return new Date(EPOCH_1900 + days * DAY).toISOString().slice(0, 10);
  if (system === '1904') return new Date(EPOCH_1904 + days * DAY).toISOString().slice(0, 10);
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
