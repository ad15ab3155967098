/** `sheaf store migrate`: moves what an Elasticsearch holds to the schema of this version. */
import type { Command } from 'commander';
import type { MigrationStep } from '../store/elasticsearch/migration.ts';
import { contextOf } from './context.ts';
import { wrongUsage } from './failure.ts';
import { printTable } from './table.ts';

export function addStoreCommands(program: Command): void {
  const store = program.command('store').description('where records live');

  store.command('migrate')
    .description('show what has to move to the schema of this version (Elasticsearch), and with --apply move it')
    .option('--apply', 'copy, then switch; it may be stopped and run again')
    .addHelpText('after', '\nStop the API and the workers before, and start those of this version afterwards. What runs on waits meanwhile: old indices take no writes.')
    .action(async ({ apply }: { apply?: boolean }, command: Command) => {
      const { config, terminal } = contextOf(command);
      if (config.SHEAF_STORE !== 'elasticsearch') {
        throw wrongUsage(`The store is ${config.SHEAF_STORE}, which brings itself up to date when it is opened.`, 'Set SHEAF_STORE=elasticsearch for the other one.');
      }
      // Loaded here: no other command needs the client.
      const [{ elasticsearchOptions }, { openMigration }] = await Promise.all([import('../container.ts'), import('../store/elasticsearch/migration.ts')]);
      const migration = openMigration(elasticsearchOptions(config));
      try {
        const steps = await migration.plan();
        if (apply === true) await migration.apply(steps, ({ kind, documents }, copied) => terminal.note(`${kind}: ${copied} of ${documents}`));
        if (terminal.json) return terminal.printJson({ steps, applied: apply === true });
        if (steps.length === 0) return terminal.print('Everything is of this version.');
        printTable(terminal, [{ title: 'records' }, { title: 'documents' }, { title: 'from' }, { title: 'to' }], steps.map(rowOf));
        terminal.print(apply === true
          ? 'The new indices are in use. The old ones are still there, closed to writes; delete them when nobody wants to go back.'
          : 'Nothing was changed. --apply moves them.');
      } finally {
        await migration.close();
      }
    });
}

const rowOf = ({ kind, documents, from, to }: MigrationStep): string[] => [kind, String(documents), from, to];
