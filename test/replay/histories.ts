/** The committed histories: `temporal.api.history.v1.History` as JSON, without what is particular to the machine that made them. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import proto from '@temporalio/proto';
import type { History } from '@temporalio/common/lib/proto-utils.js';

const { History: Message } = proto.temporal.api.history.v1;

const folder = path.join(import.meta.dirname, 'histories');

export interface CommittedEvent {
  eventType: string;
  activityTaskScheduledEventAttributes?: { activityType: { name: string } };
  [attributes: string]: unknown;
}
export interface CommittedHistory {
  events: CommittedEvent[];
}

export async function committedHistories(): Promise<{ name: string; history: CommittedHistory }[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json')).sort();
  return Promise.all(files.map(async (file) => ({
    name: path.basename(file, '.json'), history: JSON.parse(await readFile(path.join(folder, file), 'utf8')) as CommittedHistory,
  })));
}

/** What a replay takes. */
export const toHistory = (committed: CommittedHistory): History => Message.fromObject(committed);

export async function commitHistory(name: string, history: History): Promise<void> {
  const plain: unknown = JSON.parse(JSON.stringify(Message.toObject(Message.create(history), { enums: String, longs: String, bytes: String })), (key, value: unknown) =>
    key === 'identity' ? 'worker' : key === 'stackTrace' ? '' : value);
  await writeFile(path.join(folder, `${name}.json`), `${JSON.stringify(plain, null, 1)}\n`);
}
