/**
 * `npm start -- --demo google`: all of Sheaf with a Google Sheet, without an account at Google. What stands in for Google runs in
 * this process; the sample tickets are its sheet, the first job reads them there and writes what it found beside them.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';
import { ADDRESS, readyGoogle } from './ready.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const { runOn } = (await import(new URL('../../../scripts/run-on.mjs', import.meta.url).href)) as { runOn(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<number> };
const CATEGORIES = { billing: ['invoice', 'refund', 'charged', 'payment', 'receipt'], bug: ['crash', 'crashes', 'error', 'broken', 'fails'], account: ['sign in', 'password', 'locked', 'login'] };

const google = await readyGoogle();
const tickets = parse(readFileSync(path.join(root, 'samples/support-tickets.csv'))) as string[][];
google.book('Support tickets', tickets.map((row) => row.map((cell) => cell || null)));

process.stderr.write(`The Google Sheet of this demo: ${ADDRESS}\nIts cells as CSV, with what jobs write into it: ${google.url}/\n`);
try {
  process.exitCode = await runOn(process.execPath, [
    path.join(root, 'src/cli/main.ts'), 'start', ADDRESS, '--credentials', 'bot', '--key', 'ticket', '--tag', 'demo', '--handler', 'categorize',
    '--option', `categories=${JSON.stringify(CATEGORIES)}`, '--option', 'columns=subject,message', '--option', 'default=other', '--write-back', 'category=Category',
    ...process.argv.slice(2),
  ], { ...process.env, ...google.env });
} finally {
  await google.close();
}
