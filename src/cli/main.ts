/** The `sheaf` command: which commands there are, and how each ends. */
import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { SheafError } from '../contracts/errors.ts';
import { sharedOptions } from './context.ts';
import { CommandFailure, EXIT, printFailure, wrongUsage } from './failure.ts';
import { addBatchCommands } from './batch.ts';
import { addDocCommands } from './doc.ts';
import { addJobCommands } from './job.ts';
import { addScheduleCommands } from './schedule.ts';
import { addSearch } from './search.ts';
import { addStart } from './start.ts';
import { addStoreCommands } from './store.ts';
import { addSyncCommands } from './sync.ts';
import { addSystemCommands } from './system.ts';
import { openTerminal } from './terminal.ts';

const asJson = process.argv.includes('--json');

function createProgram(): Command {
  const program = sharedOptions(new Command('sheaf'))
    .description('Durable sheet and document processing on Temporal.')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help shows how it is used)')
    .exitOverride()
    // The failure itself is printed as JSON, once.
    .configureOutput(asJson ? { writeErr: () => {} } : {})
    .addHelpText('after', '\nExit code: 0 all well, 1 a failed outcome, 2 wrong usage, 130 after Ctrl-C.');
  addStart(program);
  addJobCommands(program);
  addBatchCommands(program);
  addScheduleCommands(program);
  addSyncCommands(program);
  addDocCommands(program);
  addSearch(program);
  addStoreCommands(program);
  addSystemCommands(program);
  return program;
}

// Whoever reads has seen enough (`sheaf job results … | head`): that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

function exitCodeOf(error: unknown): number {
  // Commander has printed its own: help and version end well, all else is wrong usage.
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    if (asJson) printFailure(openTerminal(true), wrongUsage(error.code === 'commander.help' ? 'A command is missing.' : error.message.replace(/^error: /, '')));
    return EXIT.usage;
  }
  if (error instanceof Error && error.name === 'AbortError') return EXIT.interrupted;
  const terminal = openTerminal(asJson);
  if (error instanceof SheafError) {
    printFailure(terminal, new CommandFailure(error.body()));
  } else if (error instanceof CommandFailure) {
    printFailure(terminal, error);
  } else {
    const message = error instanceof Error ? error.message : String(error);
    printFailure(terminal, new CommandFailure({ code: 'internal', message, remedy: 'SHEAF_LOG_LEVEL=debug shows where it happened.' }));
  }
  if (process.env['SHEAF_LOG_LEVEL'] === 'debug' && error instanceof Error) {
    process.stderr.write(`${inspect(error)}\n`);
  }
  return error instanceof CommandFailure ? error.exitCode : EXIT.failed;
}
