/** `sheaf job item JOB ROW`: a row that is a workflow of its own, and what can be asked of it. */
import { Argument, Option, type Command } from 'commander';
import type { ItemJobAnswer } from '../contracts/items-api.ts';
import { ITEM_CONTROLS } from '../contracts/items.ts';
import { PRIORITIES } from '../contracts/job.ts';
import { contextOf } from './context.ts';
import { printable, when } from './format.ts';
import { atLeastOne } from './job-create.ts';
import { jobPath } from './job-arguments.ts';

export function addJobItem(job: Command): void {
  job.command('item <id>')
    .description('a single row of a job whose rows are workflows of their own (--fan-out workflow)')
    .argument('<row>', 'as a spreadsheet program numbers it', atLeastOne)
    .addArgument(new Argument('[control]', 'what the row is to do').choices(ITEM_CONTROLS))
    .addOption(new Option('--priority <priority>', 'start it sooner or later than others that wait').choices(PRIORITIES))
    .action(async (id: string, row: number, control: string | undefined, { priority }: { priority?: string }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const address = jobPath(id, `/items/${row}`);
      if (priority !== undefined) await client.call('PATCH', address, { body: { priority }, signal });
      const item = control === undefined
        ? await client.call<ItemJobAnswer>('GET', address, { signal })
        : await client.call<ItemJobAnswer>('POST', `${address}/${control}`, { signal });
      if (terminal.json) return terminal.printJson(item);
      terminal.print(`row ${item.row}  ${terminal.paint('bold', item.status)}${item.outcome === undefined ? '' : `  ${item.outcome}`}  priority ${item.priority}`);
      if (item.error) terminal.print(printable(`${item.error.code}: ${item.error.message}`));
      for (const { at, status, reason } of item.events) terminal.print(`${when(at)}  ${status}${reason === undefined ? '' : `  ${printable(reason)}`}`);
    });
}
