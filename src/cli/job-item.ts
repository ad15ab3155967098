/** `sheaf job item JOB ROW`: a row that is a workflow of its own, and what can be asked of it. */
import { type Command, Argument } from 'commander';
import type { ItemJobAnswer } from '../contracts/items-api.ts';
import { CONTROLS } from '../contracts/messages.ts';
import { contextOf } from './context.ts';
import { printable, when } from './format.ts';
import { atLeastOne } from './job-create.ts';
import { jobPath } from './job.ts';

export function addJobItem(job: Command): void {
  job.command('item <id>')
    .description('a single row of a job whose rows are workflows of their own (--fan-out workflow)')
    .argument('<row>', 'as a spreadsheet program numbers it', atLeastOne)
    .addArgument(new Argument('[control]', 'what the row is to do').choices(CONTROLS))
    .action(async (id: string, row: number, control: string | undefined, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const item = control === undefined
        ? await client.call<ItemJobAnswer>('GET', jobPath(id, `/items/${row}`), { signal })
        : await client.call<ItemJobAnswer>('POST', jobPath(id, `/items/${row}/${control}`), { signal });
      if (terminal.json) return terminal.printJson(item);
      terminal.print(`row ${item.row}  ${terminal.paint('bold', item.status)}`);
      for (const { at, status, reason } of item.events) terminal.print(`${when(at)}  ${status}${reason === undefined ? '' : `  ${printable(reason)}`}`);
    });
}
