/** `sheaf system limits`: what is used of the named limits, what is left, and who waits. */
import type { Command } from 'commander';
import type { LimitAnswer, LimitsAnswer } from '../contracts/system-api.ts';
import { contextOf } from './context.ts';
import { count, when } from './format.ts';
import { printTable } from './table.ts';

type Use = LimitAnswer['project'];

export function addSystemLimits(system: Command): void {
  system.command('limits')
    .description('named limits: what is used, what is left, who waits')
    .addHelpText('after', '\nAllowed a window, by user and by the whole project; SHEAF_LIMITS configures them.')
    .action(async (_options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const answer = await client.call<LimitsAnswer>('GET', '/system/limits', { signal });
      if (terminal.json) return terminal.printJson(answer);
      if (answer.limits.length === 0) return terminal.print('No limit is configured, and no job has called under one.');
      printTable(
        terminal,
        [{ title: 'limit' }, { title: 'window', align: 'right' }, { title: 'user', shrinks: true }, { title: 'used', align: 'right' },
          { title: 'left', align: 'right' }, { title: 'waiting', align: 'right' }, { title: '', shrinks: true }],
        answer.limits.flatMap(linesOf),
      );
    });
}

/** A line for the project, one for each thing that is limited beside calls, one for each user. */
function linesOf(limit: LimitAnswer): string[][] {
  const window = `${limit.windowSeconds} s`;
  const notes = [limit.backOffUntil === undefined ? '' : `held back; goes on ${when(limit.backOffUntil)}`, limit.configured ? '' : 'defaults'];
  const used = (use: Use): string => (use === null ? '' : `${count(use.used)} / ${count(use.most)}`);
  const left = (use: Use): string => (use === null ? 'no limit' : count(use.left));
  return [
    [limit.name, window, 'all', used(limit.project), left(limit.project), count(limit.waiting), notes.filter(Boolean).join(', ')],
    ...(limit.concurrency === null ? [] : [['', '', 'all, at once', used(limit.concurrency), left(limit.concurrency), '', '']]),
    ...(limit.tokens === null ? [] : [['', '', 'all, tokens', used(limit.tokens), left(limit.tokens), '', '']]),
    ...limit.users.map(({ owner, used: calls, most, left: remaining, waiting, waitsUntil }) => [
      '', '', owner, most === null ? count(calls) : `${count(calls)} / ${count(most)}`, remaining === null ? 'no limit' : count(remaining),
      count(waiting), waitsUntil === undefined ? '' : `jobs go on ${when(waitsUntil)}`,
    ]),
  ];
}
