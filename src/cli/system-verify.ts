/** `sheaf system verify`: whether store, blobs and ledger agree. Without the API: it reads what the environment names. */
import type { Command } from 'commander';
import type { Finding } from '../integrity/finding.ts';
import { contextOf } from './context.ts';
import { EXIT } from './failure.ts';
import { printable } from './format.ts';

export function addVerify(system: Command): void {
  system.command('verify')
    .description('compare store, blobs and ledger: objects and passages that nobody needs, objects that are missing, counts that do not add up')
    .option('--repair', 'remove what nobody needs, and make again what can be made again')
    .option('--of <tenant>', 'only of this tenant; default: of all')
    .addHelpText('after', '\nMay run while jobs do: what is in work is left alone.')
    .action(async ({ repair = false, of }: { repair?: boolean; of?: string }, command: Command) => {
      const { config, terminal } = contextOf(command);
      // Here, because they bring the clients of stores along, which no other command needs.
      const { createContainer } = await import('../container.ts');
      const { verify } = await import('../integrity/verify.ts');
      const container = await createContainer(config, 'verify');
      const findings: Finding[] = [];
      try {
        for await (const finding of verify(container, { repair, ...(of !== undefined && { tenant: of }) })) {
          findings.push(finding);
          if (!terminal.json) terminal.print(`${terminal.paint(finding.outcome === 'repaired' ? 'green' : 'red', finding.outcome.padEnd(12))}  ${finding.kind}  ${finding.tenant}  ${printable(finding.message)}${finding.key === undefined ? '' : `  ${printable(finding.key)}`}`);
        }
      } finally {
        await container.close();
      }
      if (terminal.json) terminal.printJson(findings);
      else terminal.print(findings.length === 0 ? 'All of it agrees.' : `${findings.length} findings, ${findings.filter(({ outcome }) => outcome === 'repaired').length} repaired.${repair ? '' : ' --repair mends what can be mended.'}`);
      process.exitCode = findings.every(({ outcome }) => outcome === 'repaired') ? EXIT.ok : EXIT.failed;
    });
}
