/**
 * Calls of Google's APIs for one spreadsheet: under the limits that all workers share, tried again where that helps, with
 * what went wrong in Sheaf's words. The library's own tries know no `Retry-After` and no limits, so they are switched off.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { drive_v3 } from '@googleapis/drive';
import type { sheets_v4 } from '@googleapis/sheets';
import { z } from 'zod';
import { SheafError } from '../../contracts/errors.ts';
import { digest } from '../../domain/hashing.ts';
import { LimitReached, PATIENCE_MS, type Limits } from '../../limits/limits.ts';
import type { Account } from './auth.ts';
import { judge, rejected, type Asked } from './errors.ts';

/** Google counts reads and writes apart, each for the project and for a user. */
export const GOOGLE_LIMITS = { read: 'google-sheets', write: 'google-sheets-writes' } as const;

/** Tries of a call that nobody answers, and the longest of the waits between them, each twice the one before. */
const TRIES = 5;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 64_000;
/** Google gives up after three minutes. */
const TIMEOUT_MS = 190_000;
/** Calls of a process under one limit at the same time. */
const AT_ONCE = 100;
/** Calls that are asked for ahead of need, so that the next one need not wait for its broker. */
const AHEAD = 2;

/** For whom, and how long, Google is asked. */
export interface Caller {
  /** Whose calls they are: `tenant/owner`. */
  user: string;
  signal?: AbortSignal;
  /** Waits for a limit, however long, where it would otherwise reject with `LimitReached`. */
  patient?: boolean;
}

export interface GoogleApis {
  sheets: sheets_v4.Sheets;
  drive: drive_v3.Drive;
  account: Account;
  asked: Pick<Asked, 'account' | 'kind'>;
  /** The credentials were refused: whoever comes next reads them again. */
  forget(): void;
}

type Options = { signal: AbortSignal; retry: false; responseType: 'text' };
type Call = (options: Options) => Promise<{ data: unknown }>;

export interface Answered {
  /** Of JSON. */
  value: unknown;
  /** Characters of it. */
  size: number;
}

export class GoogleClient {
  readonly id: string;
  readonly #apis: GoogleApis;
  readonly #limits: Limits;
  readonly #caller: Caller;
  /** Google is told whose call it is, so that it counts users as the broker does, and not all as the one account. */
  readonly #quotaUser: string;

  constructor(id: string, apis: GoogleApis, limits: Limits, caller: Caller) {
    this.id = id;
    this.#apis = apis;
    this.#limits = limits;
    this.#caller = caller;
    this.#quotaUser = digest(caller.user);
  }

  /** Null where the credentials do not reach so far that Drive says when the sheet was changed. */
  async revision(): Promise<{ title: string; revision: string } | null> {
    try {
      const { value } = await this.#call('drive', (options) => this.#apis.drive.files.get({ fileId: this.id, fields: 'name,version,modifiedTime', supportsAllDrives: true }, options));
      const { name, version, modifiedTime } = z.object({ name: z.string(), version: z.string(), modifiedTime: z.string() }).parse(value);
      return { title: name, revision: `${version}-${modifiedTime}` };
    } catch (error) {
      // Of a sheet that is not there, or not shared, Sheets says more than Drive does.
      if (error instanceof SheafError && ['scope_missing', 'service_disabled', 'source_forbidden', 'source_not_found'].includes(error.code)) return null;
      throw error;
    }
  }

  describe(): Promise<Answered> {
    const fields = 'properties(title),sheets(properties(sheetId,title,index,sheetType,hidden,gridProperties(rowCount,columnCount)),merges)';
    return this.#call('read', (options) => this.#apis.sheets.spreadsheets.get({ spreadsheetId: this.id, fields, quotaUser: this.#quotaUser }, options));
  }

  /** `dates`: dates and times as text, in place of their numbers. */
  values(ranges: string[], dates: boolean): Promise<Answered> {
    return this.#call('read', (options) => this.#apis.sheets.spreadsheets.values.batchGet({
      spreadsheetId: this.id, ranges, majorDimension: 'ROWS', valueRenderOption: 'UNFORMATTED_VALUE', dateTimeRenderOption: dates ? 'FORMATTED_STRING' : 'SERIAL_NUMBER',
      fields: 'valueRanges(values)', quotaUser: this.#quotaUser,
    }, options));
  }

  /** Values stay what they are: text that begins with `=` is text. Nulls leave cells as they are. */
  async write(data: { range: string; values: (string | number | boolean | null)[][] }[]): Promise<void> {
    const requestBody = { valueInputOption: 'RAW', data: data.map((one) => ({ ...one, majorDimension: 'ROWS' })) };
    await this.#call('write', (options) => this.#apis.sheets.spreadsheets.values.batchUpdate({ spreadsheetId: this.id, requestBody, fields: 'spreadsheetId', quotaUser: this.#quotaUser }, options));
  }

  async clear(range: string): Promise<void> {
    await this.#call('write', (options) => this.#apis.sheets.spreadsheets.values.batchClear({ spreadsheetId: this.id, requestBody: { ranges: [range] }, fields: 'spreadsheetId', quotaUser: this.#quotaUser }, options));
  }

  async change(requests: sheets_v4.Schema$Request[]): Promise<void> {
    await this.#call('write', (options) => this.#apis.sheets.spreadsheets.batchUpdate({ spreadsheetId: this.id, requestBody: { requests }, fields: 'spreadsheetId', quotaUser: this.#quotaUser }, options));
  }

  async #call(kind: 'read' | 'write' | 'drive', call: Call): Promise<Answered> {
    const asked: Asked = { ...this.#apis.asked, service: kind === 'drive' ? 'drive' : 'sheets', access: kind === 'write' ? 'write' : 'read' };
    const stopped = this.#caller.signal ?? new AbortController().signal;
    let renewed = false;
    for (let tries = 1; ; tries++) {
      const lease = kind === 'drive' ? null : await this.#take(GOOGLE_LIMITS[kind], stopped);
      try {
        const { data } = await call({ signal: AbortSignal.any([stopped, AbortSignal.timeout(TIMEOUT_MS)]), retry: false, responseType: 'text' });
        const text = String(data);
        return { value: JSON.parse(text) as unknown, size: text.length };
      } catch (error) {
        stopped.throwIfAborted();
        const verdict = judge(error, asked);
        if (verdict.is === 'refused' || (verdict.is === 'expired' && renewed)) {
          const refusal = verdict.is === 'refused' ? verdict.error : rejected(asked, error);
          if (refusal.code.startsWith('credentials_')) this.#apis.forget();
          throw refusal;
        }
        if (verdict.is === 'expired') {
          renewed = true;
          this.#apis.account.renew();
        } else {
          const waitMs = verdict.afterMs ?? jittered(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries));
          if (verdict.is === 'throttled') await this.#holdBack(kind, waitMs, stopped);
          else if (tries >= TRIES || waitMs > FIRST_WAIT_MS * 2 ** TRIES) throw unavailable(error);
          else await sleep(waitMs, undefined, { signal: stopped });
        }
      } finally {
        if (lease) this.#limits.settle(lease);
      }
    }
  }

  async #take(key: string, stopped: AbortSignal) {
    for (;;) {
      try {
        return await this.#limits.take(key, AT_ONCE, stopped, { keys: [key], user: this.#caller.user, room: AHEAD });
      } catch (error) {
        if (!(error instanceof LimitReached) || !this.#caller.patient) throw error;
        await sleep(Math.max(250, error.waitMs), undefined, { signal: stopped });
      }
    }
  }

  /** Google said that it is too much, although the limits allowed it: everybody waits. */
  async #holdBack(kind: 'read' | 'write' | 'drive', waitMs: number, stopped: AbortSignal): Promise<void> {
    const key = kind === 'drive' ? 'google-drive' : GOOGLE_LIMITS[kind];
    if (kind !== 'drive') this.#limits.backOff([key], waitMs);
    if (waitMs > PATIENCE_MS && !this.#caller.patient) throw new LimitReached(key, waitMs, 'Google asked to be left alone for a while.', true);
    await sleep(waitMs, undefined, { signal: stopped });
  }
}

const jittered = (ms: number): number => ms * (0.5 + Math.random() / 2);

const unavailable = (cause: unknown): SheafError => new SheafError('source_unavailable', 'Google does not answer, or not as it should', { remedy: 'Work goes on by itself when it does', cause });
