/** Which Google Sheet somebody means: by the address that the browser shows, or by its id. */
import { SheafError } from '../contracts/errors.ts';

export interface SpreadsheetAddress {
  id: string;
  /** Null where the address names no sheet. */
  gid: number | null;
}

const ID = /^[A-Za-z0-9_-]{15,120}$/;
const PATH = /^\/(?:a\/[^/]+\/)?(?:spreadsheets|file)\/(?:u\/\d+\/)?d\/([^/]+)(?:\/|$)/;

/** Whether a text that could be a file's name as well is the address of a Google Sheet. */
export const isSpreadsheetAddress = (text: string): boolean => /^https?:\/\/(docs|drive|sheets)\.google\.com\//i.test(text.trim());

/** Throws `invalid_request`. */
export function parseSpreadsheetAddress(text: string): SpreadsheetAddress {
  const given = text.trim();
  if (ID.test(given)) return { id: given, gid: null };
  const refuse = (why: string, remedy: string): SheafError => new SheafError('invalid_request', why, { remedy, place: { field: 'source.spreadsheet' } });
  const url = isSpreadsheetAddress(given) ? URL.parse(given) : null;
  if (url === null) throw refuse('This is neither the address of a Google Sheet nor an id', 'Copy the address of the sheet from the browser: https://docs.google.com/spreadsheets/d/…/edit#gid=0');
  const id = PATH.exec(url.pathname)?.[1] ?? url.searchParams.get('id');
  if (id === 'e') throw refuse('This is the address of a page that a sheet was published to, which does not tell the sheet', 'Open the sheet itself and copy its address');
  if (id === null || !ID.test(id)) throw refuse('The address names no Google Sheet', 'Copy the address of the sheet from the browser: https://docs.google.com/spreadsheets/d/…/edit#gid=0');
  const gid = /(?:^#|&)gid=(\d{1,10})(?:&|$)/.exec(url.hash)?.[1] ?? url.searchParams.get('gid') ?? '';
  return { id, gid: /^\d{1,10}$/.test(gid) ? Number(gid) : null };
}
