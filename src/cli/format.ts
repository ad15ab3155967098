/** How values look to people: numbers, times, sizes, and text that is safe and aligned on a terminal. */
import stringWidth from 'string-width';

const NUMBER = new Intl.NumberFormat('en-US');
const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: 'grapheme' });
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/;
// Terminal control sequences and bidi overrides: a cell or file name must not steer the terminal.
// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export const count = (value: number): string => NUMBER.format(value);

/** In whatever currency the price table is. */
export const money = (cost: number): string => (cost === 0 ? '0' : cost.toFixed(cost < 1 ? 4 : 2));

/** One line without anything that steers a terminal; line breaks show as ↵. */
export function printable(text: string): string {
  return text.replace(/\r\n|[\r\n\u2028\u2029]/g, '↵').replace(/\t/g, ' ').replace(CONTROLS, '');
}

/** Keeps right-to-left text from reordering what stands beside it, on terminals that know bidi. */
export const isolate = (text: string): string => (RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text);

/** Cut to so many terminal columns, whole characters only, with … where something is missing. */
export function fit(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const { segment } of GRAPHEMES.segment(text)) {
    const wide = stringWidth(segment);
    if (used + wide > width - 1) break;
    kept += segment;
    used += wide;
  }
  return width > 0 ? `${kept}…` : '';
}

export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const fill = ' '.repeat(Math.max(0, width - stringWidth(text)));
  return align === 'left' ? text + fill : fill + text;
}

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  const parts = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return parts(Math.floor(whole / 60), 'min', whole % 60, 's');
  if (whole < 86_400) return parts(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
  return parts(Math.floor(whole / 86_400), 'd', Math.floor((whole % 86_400) / 3600), 'h');
}

export function bytes(size: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = size;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function rate(perSecond: number): string {
  return `${perSecond >= 10 ? count(Math.round(perSecond)) : perSecond.toFixed(1)} rows/s`;
}

/** Local time of day, `18:24:05`. */
export const timeOfDay = (date: Date): string => date.toTimeString().slice(0, 8);

/** `12 s ago`, `in 3 min`; beyond a day local time, `2026-11-23 18:24`. */
export function when(iso: string | null | undefined, now: Date = new Date()): string {
  if (iso === null || iso === undefined) return '';
  const date = new Date(iso);
  const seconds = (now.getTime() - date.getTime()) / 1000;
  if (Math.abs(seconds) >= 86_400) {
    const two = (value: number): string => String(value).padStart(2, '0');
    return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${date.toTimeString().slice(0, 5)}`;
  }
  if (Math.abs(seconds) < 1) return 'now';
  const length = Math.abs(seconds) < 60 ? duration(Math.round(Math.abs(seconds))) : duration(Math.floor(Math.abs(seconds) / 60) * 60);
  return seconds > 0 ? `${length} ago` : `in ${length}`;
}
