/** What goes wrong with Google: who asked for what and may not, answers that do not come, and tokens that processes share. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import { LimitReached } from '../../src/limits/limits.ts';
import { localLimits } from '../../src/limits/local.ts';
import { readNamedCredentials, type Credentials } from '../../src/sources/google/credentials.ts';
import { createGoogleSheets } from '../../src/sources/google-sheets.ts';
import type { Fault } from '../servers/google/server.ts';
import { BOT, readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';

const LIMITS = { maxRecordChars: 1_000_000, maxColumns: 1_000, maxInflatedBytes: 1_000_000 };
const SHEETS = 'https://www.googleapis.com/auth/spreadsheets';
const DRIVE = 'https://www.googleapis.com/auth/drive.metadata.readonly';

let google: ReadyGoogle;
beforeEach(async () => {
  google = await readyGoogle();
  google.book('Small', [['a'], ['x']]);
});
afterEach(() => google.close());

/** Reads the sheet as a job does; answers its cells. */
async function read(credentials: Credentials | null = null, patient = false): Promise<unknown[]> {
  const known = credentials ? new Map([['bot', credentials]]) : google.credentials;
  const sheets = createGoogleSheets({ credentials: known, url: google.url, limits: localLimits() });
  const found = await sheets.find({ spreadsheet: SPREADSHEET, credentials: 'bot' }, { user: 'default/tester', patient });
  const cells = [];
  for await (const batch of (await found.open({}, LIMITS)).rows()) cells.push(...batch.map((row) => row.cells));
  return cells;
}

const refusal = async (asked: Promise<unknown>): Promise<SheafError> => {
  const error = await asked.then(() => new Error('It was not refused.'), (one: unknown) => one);
  if (!(error instanceof SheafError)) throw error;
  return error;
};

const userFile = async (email: string, scopes = [SHEETS, DRIVE], more: object = {}): Promise<Credentials> => {
  google.books.get(SPREADSHEET)!.shared.set(email, 'reader');
  return { type: 'authorized_user', file: await google.file('token.json', { ...google.accounts.user(email, scopes, more), ...('extra' in more && (more.extra as object)) }) };
};

describe('an account that may not', () => {
  test('see the sheet is named, with what to share', async () => {
    google.books.get(SPREADSHEET)!.shared.clear();
    expect(await refusal(read())).toMatchObject({ code: 'source_forbidden', message: expect.stringContaining(BOT), remedy: expect.stringContaining(`Share the sheet with ${BOT} as a viewer`) });
    google.books.clear();
    expect(await refusal(read())).toMatchObject({ code: 'source_not_found', message: expect.stringContaining(BOT) });
  });

  test('do it any more, has expired or was revoked, and what to do about it', async () => {
    google.accounts.of(BOT).revoked = true;
    expect(await refusal(read())).toMatchObject({ code: 'credentials_rejected', message: expect.stringContaining(BOT), remedy: expect.stringContaining('make a new key') });
    const user = await userFile('ana@example.org');
    google.accounts.of('ana@example.org').revoked = true;
    expect(await refusal(read(user))).toMatchObject({ code: 'credentials_rejected', message: expect.stringContaining('credentials "bot"'), remedy: expect.stringContaining('Sign in as this user again') });
  });

  test('by its scopes is told which one is missing', async () => {
    const user = await userFile('ana@example.org', [DRIVE]);
    expect(await refusal(read(user))).toMatchObject({ code: 'scope_missing', remedy: expect.stringContaining(`${SHEETS}.readonly`) });
  });

  test('ask Drive reads the sheet all the same', async () => {
    expect(await read(await userFile('ana@example.org', [SHEETS]))).toEqual([['x']]);
  });

  test('because the API is switched off in its project is told so', async () => {
    google.fault = ({ kind }) => kind === 'read' ? { status: 403, body: { error: { code: 403, message: 'Google Sheets API has not been used', status: 'PERMISSION_DENIED', details: [{ reason: 'SERVICE_DISABLED' }] } } } : null;
    expect(await refusal(read())).toMatchObject({ code: 'service_disabled', message: expect.stringContaining(BOT) });
  });

  test.each<[string, Credentials | string, string]>([
    ['has no file', { type: 'service_account', file: '/nowhere/key.json' }, 'cannot be read (ENOENT)'],
    ['has a file of something else', '{"type": "authorized_user"}', 'is not one of a service account'],
    ['has a key that is none', '{"type": "service_account", "client_email": "x@y", "private_key": "secret-of-mine"}', 'is not one of a service account'],
  ])('%s', async (_, given, message) => {
    const credentials: Credentials = typeof given === 'string' ? { type: 'service_account', file: await google.file('broken.json', JSON.parse(given) as object) } : given;
    const error = await refusal(read(credentials));
    expect(error).toMatchObject({ code: 'credentials_invalid', message: expect.stringContaining(message) });
    expect(JSON.stringify(error.body())).not.toContain('secret-of-mine');
  });

  test('be named is refused with the names that there are', async () => {
    const sheets = createGoogleSheets({ credentials: google.credentials, url: google.url, limits: localLimits() });
    expect(await refusal(sheets.find({ spreadsheet: SPREADSHEET, credentials: 'bott' }, { user: 'a/b' }))).toMatchObject({ code: 'credentials_unknown', remedy: expect.stringContaining(': bot') });
  });
});

describe('Application Default Credentials', () => {
  const ADC: Credentials = { type: 'adc' };
  const from = async (content: object): Promise<void> => void vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', await google.file('application_default_credentials.json', content));
  afterEach(() => vi.unstubAllEnvs());

  test('of a service account read with tokens of the token endpoint, and another one when that is too old', async () => {
    await from(google.accounts.serviceAccount('adc@demo.iam.gserviceaccount.com'));
    google.books.get(SPREADSHEET)!.shared.set('adc@demo.iam.gserviceaccount.com', 'reader');
    let expired = false;
    google.before = ({ kind }) => {
      if (kind !== 'read' || expired) return;
      expired = true;
      google.accounts.expireTokens();
    };
    expect(await read(ADC)).toEqual([['x']]);
    expect(google.accounts.renewals.get('adc@demo.iam.gserviceaccount.com')).toBe(2);
    expect(google.accounts.renewals.get(BOT)).toBeUndefined();
  });

  test('of a user, as `gcloud auth application-default login` leaves them, are renewed and left as they are', async () => {
    const content = { ...google.accounts.user('ana@example.org', [SHEETS, DRIVE]), quota_project_id: 'demo' };
    await from(content);
    google.books.get(SPREADSHEET)!.shared.set('ana@example.org', 'reader');
    expect(await read(ADC)).toEqual([['x']]);
    expect(google.accounts.renewals.get('ana@example.org')).toBe(1);
    expect(JSON.parse(await readFile(path.join(google.folder, 'application_default_credentials.json'), 'utf8'))).toEqual(content);
  });

  test('that the token endpoint refuses, that see no sheet, or that are not there, are told apart', async () => {
    await from(google.accounts.serviceAccount('adc@demo.iam.gserviceaccount.com'));
    expect(await refusal(read(ADC))).toMatchObject({ code: 'source_forbidden', message: expect.stringContaining('adc@demo.iam.gserviceaccount.com') });
    google.accounts.of('adc@demo.iam.gserviceaccount.com').revoked = true;
    expect(await refusal(read(ADC))).toMatchObject({ code: 'credentials_rejected', message: expect.stringContaining('adc@demo.iam.gserviceaccount.com') });
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '/nowhere/key.json');
    expect(await refusal(read(ADC))).toMatchObject({ code: 'credentials_invalid', remedy: expect.stringContaining('GOOGLE_APPLICATION_CREDENTIALS') });
  });
});

describe('the configuration of credentials', () => {
  test('names files relative to its own', async () => {
    const file = await google.file('credentials.json', { ana: { type: 'authorized_user', file: 'ana.json' }, default: { type: 'adc' } });
    expect(readNamedCredentials(file)).toEqual(new Map<string, Credentials>([['ana', { type: 'authorized_user', file: path.join(google.folder, 'ana.json') }], ['default', { type: 'adc' }]]));
  });

  test.each([['{"a": {"type": "password"}}', 'a'], ['{"A B": {"type": "adc"}}', 'expected a name'], ['{"a": {"type": "service_account"}}', 'a.file'], ['{', 'neither YAML nor JSON'], ['/nowhere.yaml', 'cannot be read (ENOENT)']])('%s is refused', (given, message) => {
    expect(() => readNamedCredentials(given)).toThrow(message);
  });
});

describe('an answer that', () => {
  const failing = (times: number, fault: Fault, kind = 'read'): void => {
    google.fault = (arrival) => (arrival.kind === kind && times-- > 0 ? fault : null);
  };

  test.each<[string, Fault]>([['is cut off', { cut: true }], ['is a 500', { status: 500 }], ['is a 503 that says when', { status: 503, retryAfter: 0 }], ['does not come', { reset: true }]])('%s is asked for again', async (_, fault) => {
    failing(1, fault);
    expect(await read()).toEqual([['x']]);
  });

  test('never comes is the service that is away, which a job waits for', async () => {
    failing(100, { status: 503, retryAfter: 0 });
    expect(await refusal(read())).toMatchObject({ code: 'source_unavailable', retryable: true });
    failing(100, { status: 503, retryAfter: 3_000 });
    const before = google.arrivals.length;
    expect((await refusal(read())).code).toBe('source_unavailable');
    expect(google.arrivals.slice(before).filter(({ kind }) => kind === 'read')).toHaveLength(1);
  });

  test('refuses for a while makes everybody wait as long as it says', async () => {
    failing(1, { status: 429, retryAfter: 30 });
    const waits: unknown[] = [];
    const limits = { ...localLimits(), backOff: (...said: unknown[]) => void waits.push(said) };
    const sheets = createGoogleSheets({ credentials: google.credentials, url: google.url, limits });
    const found = await sheets.find({ spreadsheet: SPREADSHEET, credentials: 'bot' }, { user: 'default/tester' });
    const error: unknown = await found.open({}, LIMITS).catch((one: unknown) => one);
    expect(error).toBeInstanceOf(LimitReached);
    expect(error).toMatchObject({ limit: 'google-sheets', waitMs: 30_000, refused: true });
    expect(waits).toEqual([[['google-sheets'], 30_000]]);
  });

  test('says that the token is too old is asked for again with a new one', async () => {
    expect(await read()).toEqual([['x']]);
    let expired = false;
    google.before = ({ what }) => {
      if (what.includes('values') && !expired) google.accounts.expireTokens();
      expired ||= what.includes('values');
    };
    // The call under way was looked at before; the one after it meets the expired token.
    google.book('Longer', [['n', 'm'], ...Array.from({ length: 3_000 }, (_, n) => [n, 'x'])]);
    expect(await read()).toHaveLength(3_000);
    expect(google.accounts.renewals.get(BOT)).toBe(3);
    expect(google.arrivals.some(({ status }) => status === 401)).toBe(true);
  });
});

describe('the token file of a user', () => {
  test('is written back as a whole, in its own form, for nobody else to read', async () => {
    const credentials = await userFile('ana@example.org', undefined, { rotates: true });
    const { file } = credentials as { file: string };
    const before = JSON.parse(await readFile(file, 'utf8')) as { refresh_token: string };
    expect(await read(credentials)).toEqual([['x']]);
    const after = JSON.parse(await readFile(file, 'utf8')) as { refresh_token: string; access_token: string; expiry_date: number };
    expect(after).toMatchObject({ client_id: 'client', client_secret: 'secret', access_token: expect.stringMatching(/^ya29/), refresh_token: google.accounts.of('ana@example.org').refreshToken });
    expect(after.refresh_token).not.toBe(before.refresh_token);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await read(credentials)).toEqual([['x']]);
    expect(google.accounts.renewals.get('ana@example.org')).toBe(1);
  });

  test('of Python keeps its names', async () => {
    const { refresh_token } = google.accounts.user('py@example.org', [SHEETS, DRIVE]);
    google.books.get(SPREADSHEET)!.shared.set('py@example.org', 'reader');
    const file = await google.file('token.json', { token: 'old', refresh_token, token_uri: 'https://oauth2.googleapis.com/token', client_id: 'client', client_secret: 'secret', scopes: [SHEETS], expiry: '2020-01-01T00:00:00.000000' });
    expect(await read({ type: 'authorized_user', file })).toEqual([['x']]);
    const after = JSON.parse(await readFile(file, 'utf8')) as { token: string; expiry: string; access_token?: string };
    expect(after.token).toMatch(/^ya29/);
    expect(Date.parse(after.expiry)).toBeGreaterThan(Date.now());
    expect(after.access_token).toBeUndefined();
  });

  test('shared by processes is renewed by one of them, also where a refresh token is good for one use', { timeout: 60_000 }, async () => {
    const credentials = await userFile('ana@example.org', undefined, { rotates: true });
    const { file } = credentials as { file: string };
    google.before = ({ kind }) => (kind === 'token' ? new Promise((resolve) => setTimeout(resolve, 200)) : undefined);
    const children = [0, 1].map(() => fork(path.resolve('test/servers/google/reader-child.ts'), [google.url, file], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    try {
      await Promise.all(children.map(async (child) => once(child, 'message')));
      for (let round = 1; round <= 5; round++) {
        google.accounts.expireTokens();
        const answers = children.map(async (child) => (await once(child, 'message') as [string])[0]);
        for (const child of children) child.send('read');
        expect(await Promise.all(answers)).toEqual(['[["x"]]', '[["x"]]']);
        expect(google.accounts.renewals.get('ana@example.org')).toBe(round);
      }
    } finally {
      for (const child of children) child.kill();
    }
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ refresh_token: google.accounts.of('ana@example.org').refreshToken });
    expect((await readdir(google.folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
