/**
 * Google as far as Sheaf uses it: Sheets v4, Drive v3 and the OAuth token endpoint, over HTTP, from spreadsheets in memory.
 * Quotas are counted as Google counts them; answers can be made to fail, to be slow or to be cut off.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Accounts, TokenRefused } from './accounts.ts';
import { BadRange, makeTab, nameOf, parseArea, valuesOf, write, type Spreadsheet, type Tab, type Value } from './grid.ts';
import { masked } from './mask.ts';

export interface Arrival {
  /** `performance.now()` of this process. */
  at: number;
  kind: 'read' | 'write' | 'drive' | 'token';
  /** Whom the call counts for. */
  user: string;
  what: string;
  status: number;
  /** Of the answer's body, before compression. */
  bytes: number;
}

export type Fault = { status: number; retryAfter?: number; body?: object } | { cut: true } | { reset: true };

export interface Quotas { windowMs: number; project: number; user: number; retryAfter?: number }

export interface FakeGoogle {
  url: string;
  accounts: Accounts;
  books: Map<string, Spreadsheet>;
  arrivals: Arrival[];
  /** Null: as many calls as anybody likes. Reads and writes are counted apart. */
  quotas: Quotas | null;
  /** Looked at before anything is done. */
  fault: (arrival: Omit<Arrival, 'status' | 'bytes'>) => Fault | null;
  /** Runs before a call is answered; may wait. */
  before: (arrival: Omit<Arrival, 'status' | 'bytes'>) => Promise<void> | void;
  /** Makes a spreadsheet of a single tab, or of these. */
  make(id: string, title: string, rows: Tab['rows'] | Tab[], more?: Partial<Tab>): Spreadsheet;
  /** Changes it as somebody in a browser does: its version grows. */
  edit(id: string, change: (book: Spreadsheet) => void): void;
  close(): Promise<void>;
}

const SHEETS = 'https://www.googleapis.com/auth/spreadsheets';
const DRIVE = 'https://www.googleapis.com/auth/drive.metadata.readonly';

class Refused extends Error {
  readonly status: number;
  readonly body: object;

  constructor(status: number, message: string, state: string, reason?: string) {
    super(message);
    this.status = status;
    this.body = { error: { code: status, message, status: state, ...(reason !== undefined && { details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'googleapis.com', metadata: { service: 'sheets.googleapis.com' } }] }) } };
  }
}

export async function startFakeGoogle(port = 0): Promise<FakeGoogle> {
  const server = createServer((req, res) => void answer(req, res));
  const google: FakeGoogle = {
    url: '', accounts: new Accounts(), books: new Map(), arrivals: [], quotas: null, fault: () => null, before: () => {},
    make(id, title, rows, more = {}) {
      const tabs = rows.length > 0 && !Array.isArray(rows[0]) ? (rows as Tab[]) : [makeTab(0, 'Sheet1', rows as Tab['rows'], more)];
      const book: Spreadsheet = { id, title, version: 1, modifiedAt: Date.now(), tabs, shared: new Map() };
      google.books.set(id, book);
      return book;
    },
    edit(id, change) {
      const book = google.books.get(id)!;
      change(book);
      for (const tab of book.tabs) {
        tab.rowCount = Math.max(tab.rowCount, tab.rows.length);
        tab.columnCount = Math.max(tab.columnCount, ...tab.rows.slice(0, 1_000).map((row) => row.length));
      }
      touch(book);
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? '/', 'http://google');
    if (url.pathname === '/') return void res.setHeader('content-type', 'text/csv; charset=utf-8').end(csvOf([...google.books.values()][0]));
    const chunks: Buffer[] = [];
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const kind = url.pathname === '/token' ? 'token' : url.pathname.startsWith('/drive/') ? 'drive' : /:(batchUpdate|batchClear)$/.test(url.pathname) ? 'write' : 'read';
    const token = google.accounts.whose(req.headers.authorization);
    const arrival: Arrival = { at: performance.now(), kind, user: url.searchParams.get('quotaUser') ?? token?.account.email ?? '', what: `${req.method} ${url.pathname}`, status: 200, bytes: 0 };
    // Before this one: Google counts what it refuses as well, but who was refused is not to count for a window of its own.
    const over = google.quotas !== null && overQuota(google.quotas, google.arrivals, arrival);
    google.arrivals.push(arrival);
    let content: string;
    const fault = google.fault(arrival);
    try {
      await google.before(arrival);
      if (fault && 'reset' in fault) return void req.socket.destroy();
      if (fault && 'status' in fault) {
        if (fault.retryAfter !== undefined) res.setHeader('retry-after', fault.retryAfter);
        arrival.status = fault.status;
        content = JSON.stringify(fault.body ?? { error: { code: fault.status, message: 'The service is currently unavailable.', status: 'UNAVAILABLE' } });
      } else if (over) {
        if (google.quotas?.retryAfter !== undefined) res.setHeader('retry-after', google.quotas.retryAfter);
        throw new Refused(429, `Quota exceeded for quota metric '${kind} requests' and limit '${kind} requests per minute per user'`, 'RESOURCE_EXHAUSTED', 'RATE_LIMIT_EXCEEDED');
      } else {
        content = JSON.stringify(kind === 'token' ? google.accounts.grant(new URLSearchParams(body)) : masked(call(url, body, kind, token), url.searchParams.get('fields')));
      }
    } catch (error) {
      const [status, answered] = refusal(error, kind);
      arrival.status = status;
      content = JSON.stringify(answered);
    }
    arrival.bytes = content.length;
    res.statusCode = arrival.status;
    const packed = content.length > 1_000 && /gzip/.test(String(req.headers['accept-encoding']));
    const out = packed ? gzipSync(content, { level: 1 }) : Buffer.from(content);
    res.setHeader('content-type', 'application/json; charset=UTF-8');
    if (packed) res.setHeader('content-encoding', 'gzip');
    if (fault && 'cut' in fault) {
      res.setHeader('content-length', out.length);
      res.write(out.subarray(0, Math.floor(out.length / 2)));
      return void setImmediate(() => req.socket.destroy());
    }
    res.end(out);
  }

  type Token = ReturnType<Accounts['whose']>;

  function call(url: URL, body: string, kind: Arrival['kind'], token: Token): object {
    if (!token) throw new Refused(401, 'Request had invalid authentication credentials. Expected OAuth 2 access token.', 'UNAUTHENTICATED', 'ACCESS_TOKEN_EXPIRED');
    const covered = kind === 'drive' ? token.scopes.includes(DRIVE) : token.scopes.includes(SHEETS) || (kind === 'read' && token.scopes.includes(`${SHEETS}.readonly`));
    if (!covered) throw new Refused(403, 'Request had insufficient authentication scopes.', 'PERMISSION_DENIED', 'ACCESS_TOKEN_SCOPE_INSUFFICIENT');
    const [, id = '', rest = ''] = /^\/(?:v4\/spreadsheets|drive\/v3\/files)\/([^/:]+)(.*)$/.exec(url.pathname) ?? [];
    const book = google.books.get(id);
    const role = book?.shared.get(token.account.email);
    if (kind === 'drive') {
      if (!book || !role) throw new DriveNotFound(id);
      return { id, name: book.title, version: String(book.version), modifiedTime: new Date(book.modifiedAt).toISOString(), mimeType: 'application/vnd.google-apps.spreadsheet' };
    }
    if (!book) throw new Refused(404, 'Requested entity was not found.', 'NOT_FOUND');
    if (!role || (kind === 'write' && role !== 'writer')) throw new Refused(403, 'The caller does not have permission', 'PERMISSION_DENIED');
    if (rest === '') return describe(book);
    if (rest === '/values:batchGet') {
      const formatted = url.searchParams.get('dateTimeRenderOption') === 'FORMATTED_STRING';
      return { spreadsheetId: id, valueRanges: url.searchParams.getAll('ranges').map((range) => {
        const area = parseArea(book, range);
        const values = valuesOf(area, formatted);
        return { range: nameOf(area), majorDimension: 'ROWS', ...(values.length > 0 && { values }) };
      }) };
    }
    if (rest === '/values:batchUpdate') return writeValues(book, JSON.parse(body) as { valueInputOption: string; data: { range: string; values: Value[][] }[] });
    if (rest === '/values:batchClear') {
      for (const range of (JSON.parse(body) as { ranges: string[] }).ranges) {
        const { tab, firstRow, lastRow, firstColumn, lastColumn } = parseArea(book, range);
        for (let row = firstRow; row <= lastRow; row++) tab.rows[row]?.fill(null, firstColumn, lastColumn + 1);
      }
      touch(book);
      return { spreadsheetId: id };
    }
    if (rest === ':batchUpdate') return changeBook(book, (JSON.parse(body) as { requests: ChangeRequest[] }).requests);
    throw new Refused(404, `Not found: ${url.pathname}`, 'NOT_FOUND');
  }

  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  google.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return google;
}

/** For people: the first sheet's cells. */
const csvOf = (book: Spreadsheet | undefined): string => (book?.tabs[0]?.rows ?? []).map((row) => `${row.map((cell) => (cell === null ? '' : JSON.stringify(typeof cell === 'object' ? cell.serial : cell).replaceAll('\\"', '""'))).join(',')}\n`).join('');

class DriveNotFound extends Error {}

function refusal(error: unknown, kind: Arrival['kind']): [number, object] {
  if (error instanceof Refused) return [error.status, error.body];
  if (error instanceof TokenRefused) return [400, { error: error.code, error_description: error.message }];
  if (error instanceof BadRange) return [400, { error: { code: 400, message: error.message, status: 'INVALID_ARGUMENT' } }];
  if (error instanceof DriveNotFound) return [404, { error: { errors: [{ domain: 'global', reason: 'notFound', message: `File not found: ${error.message}.` }], code: 404, message: `File not found: ${error.message}.` } }];
  return [500, { error: { code: 500, message: `Internal error encountered. (${kind}) ${String(error)}`, status: 'INTERNAL' } }];
}

function overQuota({ windowMs, project, user }: Quotas, arrivals: Arrival[], arrival: Arrival): boolean {
  if (arrival.kind !== 'read' && arrival.kind !== 'write') return false;
  let [all, mine] = [0, 0];
  for (let index = arrivals.length - 1; index >= 0 && arrival.at - arrivals[index]!.at < windowMs; index--) {
    const one = arrivals[index]!;
    if (one.kind !== arrival.kind || one.status === 429) continue;
    all++;
    if (one.user === arrival.user) mine++;
  }
  return all >= project || mine >= user;
}

function touch(book: Spreadsheet): void {
  book.version++;
  book.modifiedAt = Math.max(Date.now(), book.modifiedAt + 1);
}

const describe = (book: Spreadsheet): object => ({
  spreadsheetId: book.id,
  properties: { title: book.title, locale: 'en_US', timeZone: 'Etc/UTC' },
  sheets: book.tabs.map((tab, index) => ({ properties: propertiesOf(tab, index), ...(tab.merges.length > 0 && { merges: tab.merges.map((merge) => ({ sheetId: tab.sheetId, ...merge })) }) })),
});

const propertiesOf = ({ sheetId, title, hidden, rowCount, columnCount }: Tab, index: number): object =>
  ({ sheetId, title, index, sheetType: 'GRID', gridProperties: { rowCount, columnCount }, ...(hidden && { hidden }) });

function writeValues(book: Spreadsheet, { valueInputOption, data }: { valueInputOption: string; data: { range: string; values: Value[][] }[] }): object {
  if (valueInputOption !== 'RAW') throw new Refused(400, 'Only RAW is spoken here.', 'INVALID_ARGUMENT');
  let cells = 0;
  for (const { range, values } of data) {
    if (values.flat().some((value) => typeof value === 'string' && value.length > 50_000)) throw new Refused(400, 'Your input contains more than the maximum of 50000 characters in a single cell.', 'INVALID_ARGUMENT');
    cells += write(parseArea(book, range), values);
  }
  touch(book);
  return { spreadsheetId: book.id, totalUpdatedCells: cells };
}

interface ChangeRequest {
  addSheet?: { properties: { title: string; gridProperties: { rowCount: number; columnCount: number } } };
  appendDimension?: { sheetId: number; dimension: 'ROWS' | 'COLUMNS'; length: number };
}

function changeBook(book: Spreadsheet, requests: ChangeRequest[]): object {
  const replies = requests.map(({ addSheet, appendDimension }) => {
    if (addSheet) {
      const { title, gridProperties } = addSheet.properties;
      if (book.tabs.some((tab) => tab.title === title)) throw new Refused(400, `Invalid requests[0].addSheet: A sheet with the name "${title}" already exists. Please enter another name.`, 'INVALID_ARGUMENT');
      const tab = makeTab(1 + Math.max(0, ...book.tabs.map(({ sheetId }) => sheetId)), title, [], gridProperties);
      book.tabs.push(tab);
      return { addSheet: { properties: propertiesOf(tab, book.tabs.length - 1) } };
    }
    const tab = book.tabs.find(({ sheetId }) => sheetId === appendDimension?.sheetId);
    if (!tab || !appendDimension) throw new Refused(400, 'Invalid requests[0]: No such request', 'INVALID_ARGUMENT');
    tab[appendDimension.dimension === 'ROWS' ? 'rowCount' : 'columnCount'] += appendDimension.length;
    return {};
  });
  touch(book);
  return { spreadsheetId: book.id, replies };
}
