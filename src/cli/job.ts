/** `sheaf job …`: looking at jobs and steering them. */
import type { Command } from 'commander';
import type { JobAnswer } from '../contracts/api.ts';
import { contextOf } from './context.ts';
import { addJobCreate, addJobPreview, watchToEnd } from './job-create.ts';
import { count, when } from './format.ts';
import { printFacts } from './table.ts';
import { printOutcome } from './watch.ts';

const at = (id: string, rest = ''): string => `/jobs/${encodeURIComponent(id)}${rest}`;

export function addJobCommands(program: Command): void {
  const job = program.command('job').description('run sheets: create, follow and steer jobs');
  addJobPreview(job);
  addJobCreate(job);

  job.command('show <id>')
    .description('everything about one job')
    .action(async (id: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const shown = await client.call<JobAnswer>('GET', at(id), { signal });
      if (terminal.json) return terminal.printJson(shown);
      printFacts(terminal, [
        ['job', shown.id],
        ['handler', shown.handler],
        ['source', shown.source],
        ['lane', shown.lane],
        ['priority', shown.priority],
        ['tags', shown.tags.join(', ')],
        ['attempt', count(shown.attempt)],
        ['created', when(shown.createdAt)],
        ['started', when(shown.startedAt)],
        ['ended', when(shown.completedAt)],
      ]);
      terminal.print('');
      printOutcome(terminal, shown);
    });

  job.command('watch <id>')
    .description('follow a job to its end')
    .addHelpText('after', '\nExit code 0 when every row got through, 1 when the job failed, was cancelled or any row failed.\nCtrl-C ends the watching, not the job.')
    .action(async (id: string, _options: object, command: Command) => watchToEnd(command, id));
}
