/** `sheaf job deliveries` and `redeliver`: what a job's webhooks were told. */
import type { Command } from 'commander';
import type { DeliveryAnswer } from '../contracts/webhooks-api.ts';
import { listUpTo } from './client.ts';
import { contextOf } from './context.ts';
import { when } from './format.ts';
import { atLeastOne } from './job-create.ts';
import { jobPath } from './job-arguments.ts';
import { printTable } from './table.ts';

export function addJobDeliveries(job: Command): void {
  job.command('deliveries <id>')
    .description("what a job's webhooks were told, and how that went")
    .option('--limit <n>', 'at most so many', atLeastOne, 100)
    .action(async (id: string, { limit }: { limit: number }, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const found = await listUpTo<DeliveryAnswer>(client, jobPath(id, '/deliveries'), limit, { signal });
      if (terminal.json) return terminal.printJson(found);
      if (found.items.length === 0) return terminal.note('Nothing was told. A job is given webhooks with --webhook, a tenant with SHEAF_WEBHOOKS.');
      printTable(
        terminal,
        [{ title: 'delivery' }, { title: 'event' }, { title: 'state' }, { title: 'tries', align: 'right' }, { title: 'last try' }, { title: 'answer', shrinks: true }],
        found.items.map((one) => {
          const last = one.log.at(-1);
          return [one.id, one.type, one.state, String(one.tries), when(last?.at ?? null), [last?.status ?? '', last?.code ?? ''].filter((part) => part !== '').join(' ')];
        }),
      );
      if (found.nextCursor !== null) terminal.note('There are more; --limit shows them.');
    });

  job.command('redeliver <id> <delivery>')
    .description('send a message to its webhook once more')
    .action(async (id: string, delivery: string, _options: object, command: Command) => {
      const { client, terminal, signal } = contextOf(command);
      const sent = await client.call<DeliveryAnswer>('POST', jobPath(id, `/deliveries/${encodeURIComponent(delivery)}/redeliver`), { signal });
      if (terminal.json) return terminal.printJson(sent);
      terminal.note(`${sent.id} will be sent once more. See how that goes: npx sheaf job deliveries ${id}`);
    });
}
