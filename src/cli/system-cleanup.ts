/** `sheaf system cleanup`: removes what has been kept long enough, or says what would go. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { CleanupAnswer } from '../contracts/system-api.ts';
import { CLEANUP_KINDS, type CleanupKind } from '../contracts/system.ts';
import { contextOf } from './context.ts';
import { bytes, count, when } from './format.ts';
import { printFacts, printTable } from './table.ts';
import type { Terminal } from './terminal.ts';

const POLL_MS = 500;
/** After so many looks at one that has not begun. */
const LOOKS_BEFORE_HINT = 10;

const SETTINGS: Record<CleanupKind, string> = {
  outputs: 'SHEAF_KEEP_OUTPUTS', events: 'SHEAF_KEEP_EVENTS', jobs: 'SHEAF_KEEP_JOBS', batches: 'SHEAF_KEEP_JOBS', summaries: 'SHEAF_KEEP_SUMMARIES', answers: 'SHEAF_KEEP_ANSWERS', web_pages: 'SHEAF_KEEP_WEB_PAGES',
};

export function addCleanup(system: Command): void {
  system.command('cleanup')
    .description('remove what has been kept long enough (SHEAF_KEEP_…), now; a schedule does it every day')
    .option('--dry-run', 'say what would go, and remove nothing')
    .addHelpText('after', '\nOf all tenants. Ctrl-C ends the watching, not the cleanup.')
    .action(async ({ dryRun = false }: { dryRun?: boolean }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      let report = await client.call<CleanupAnswer>('POST', '/system/cleanup', { body: { dryRun }, signal });
      for (let looks = 1; report.state !== 'completed'; looks++) {
        if (looks === LOOKS_BEFORE_HINT && report.state === 'queued') terminal.note('It waits for a worker; `sheaf system status` shows who works.');
        await sleep(POLL_MS, undefined, { signal });
        report = await client.call<CleanupAnswer>('GET', `/system/cleanup/${report.id}`, { signal });
      }
      if (terminal.json) terminal.printJson(report);
      else printReport(terminal, report);
    });
}

function printReport(terminal: Terminal, { dryRun, before, gone }: CleanupAnswer): void {
  printFacts(terminal, CLEANUP_KINDS.map((kind) => {
    const cutoff = before[kind];
    return [kind, cutoff === null ? `kept for ever (${SETTINGS[kind]} is not set)` : `${dryRun ? 'would go' : 'gone'} where older than ${when(cutoff)}`];
  }));
  terminal.print('');
  if (gone.length === 0) {
    terminal.print(dryRun ? 'Nothing would go.' : 'Nothing was old enough.');
    return;
  }
  printTable(terminal, [{ title: dryRun ? 'would go' : 'gone' }, { title: 'tenant', shrinks: true }, { title: 'count', align: 'right' }, { title: 'size', align: 'right' }],
    gone.map(({ kind, tenant, count: things, bytes: size }) => [kind, tenant, count(things), bytes(size)]));
}
