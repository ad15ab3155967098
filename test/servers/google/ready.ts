/** A fake Google that an account may already ask: a service account that is called `bot` in the configuration. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { NamedCredentials } from '../../../src/sources/google/credentials.ts';
import type { Spreadsheet, Tab } from './grid.ts';
import { startFakeGoogle, type FakeGoogle } from './server.ts';

export const BOT = 'bot@demo.iam.gserviceaccount.com';
export const SPREADSHEET = '1fEgiCLNMQQZqBgQFlkABXgke8I2kI1i1XUvj8Yba9Ow';
export const ADDRESS = `https://docs.google.com/spreadsheets/d/${SPREADSHEET}/edit?gid=0#gid=0`;

type Rows = Parameters<FakeGoogle['make']>[2];

export interface ReadyGoogle extends FakeGoogle {
  folder: string;
  credentials: NamedCredentials;
  /** SHEAF_CREDENTIALS and SHEAF_GOOGLE_URL. */
  env: Record<string, string>;
  /** Makes the spreadsheet, shared with the bot, which may write to it. */
  book(title: string, rows: Rows, more?: Partial<Tab>): Spreadsheet;
  /** Writes a file into the folder; answers its path. */
  file(name: string, content: object): Promise<string>;
}

export async function readyGoogle(port?: number): Promise<ReadyGoogle> {
  const google = await startFakeGoogle(port);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-google-'));
  const file = async (name: string, content: object): Promise<string> => {
    await writeFile(path.join(folder, name), JSON.stringify(content), { mode: 0o600 });
    return path.join(folder, name);
  };
  const bot = { type: 'service_account', file: await file('bot.json', google.accounts.serviceAccount(BOT)) } as const;
  const { close } = google;
  // The server looks at this very object.
  return Object.assign(google, {
    folder, file,
    credentials: new Map([['bot', bot]]),
    env: { SHEAF_GOOGLE_URL: google.url, SHEAF_CREDENTIALS: JSON.stringify({ bot }) },
    book(title: string, rows: Rows, more: Partial<Tab> = {}) {
      const book = google.make(SPREADSHEET, title, rows, more);
      book.shared.set(BOT, 'writer');
      return book;
    },
    async close() {
      await close();
      await rm(folder, { recursive: true, force: true });
    },
  });
}
