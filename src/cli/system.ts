/** `sheaf system …`: its commands, and those that look at the installation once. */
import type { Command } from 'commander';
import type { SystemAnswer, SystemCheck } from '../contracts/system-api.ts';
import { environmentSchema, isSecret } from '../config.ts';
import { contextOf, sharedTerminal } from './context.ts';
import { CommandFailure, EXIT } from './failure.ts';
import { printable } from './format.ts';
import { addAnalytics } from './system-analytics.ts';
import { checkSystem } from './system-check.ts';
import { addSystemLimits } from './system-limits.ts';
import { addCleanup } from './system-cleanup.ts';
import { statusLines } from './system-status.ts';
import { addTop } from './system-top.ts';
import { addVerify } from './system-verify.ts';
import type { Terminal } from './terminal.ts';

export function addSystemCommands(program: Command): void {
  const system = program.command('system').description('the installation: its health and configuration');

  system.command('status')
    .description('is everything up, who works, what waits?')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const status = await context.client.call<SystemAnswer>('GET', '/system/status', { signal: context.signal });
      if (context.terminal.json) context.terminal.printJson(status);
      else for (const line of statusLines(status, context.client.url, context.terminal, null)) context.terminal.print(line);
      process.exitCode = status.status === 'ok' ? EXIT.ok : EXIT.failed;
    });

  addSystemLimits(system);
  addTop(system);
  addAnalytics(system);
  addCleanup(system);

  system.command('config')
    .description('every variable of the environment: what it is here, its default, what it means')
    .action((_options: object, command: Command) => printConfig(command));

  system.command('prepare')
    .description('make what servers need once: Temporal namespace and search attributes, S3 bucket, Elasticsearch indices')
    .addHelpText('after', '\nMay be repeated. `sheaf start` needs it only where SHEAF_TEMPORAL_ADDRESS names a server of your own.')
    .action(async (_options: object, command: Command) => {
      const { config, terminal } = contextOf(command);
      // Here, because it brings the servers' clients along, which no other command needs.
      const { prepare } = await import('../diagnosis.ts');
      const made = await prepare(config);
      if (terminal.json) terminal.printJson({ made });
      else terminal.print(made.length === 0 ? 'Everything was there.' : `Made: ${made.join(', ')}.`);
    });

  addVerify(system);

  system.command('check')
    .description('look for what is wrong, and say what to do about it')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const checks = await checkSystem(context);
      const { terminal } = context;
      if (terminal.json) {
        terminal.printJson(checks);
      } else {
        for (const check of checks) printCheck(terminal, check);
      }
      process.exitCode = checks.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed;
    });
}

function printCheck(terminal: Terminal, { ok, name, found, remedy }: SystemCheck): void {
  terminal.print(`${ok ? terminal.paint('green', 'ok  ') : terminal.paint('red', 'FAIL')}  ${name.padEnd(26)}  ${printable(found)}`);
  if (remedy !== undefined) terminal.print(`      ${printable(remedy)}`);
}

interface Variable {
  name: string;
  /** In force here; null: unset, without a default. */
  value: unknown;
  default: unknown;
  set: boolean;
  meaning: string;
  /** Why the value is not valid. */
  problem?: string;
}

function printConfig(command: Command): void {
  const terminal = sharedTerminal(command);
  const variables = Object.entries(environmentSchema.shape).map(([name, schema]): Variable => {
    const given = process.env[name] === '' ? undefined : process.env[name];
    const read = schema.safeParse(given);
    return {
      name,
      value: given !== undefined && isSecret(name) ? '(set)' : read.success ? read.data ?? null : null,
      default: schema.parse(undefined) ?? null,
      set: given !== undefined,
      meaning: schema.description ?? '',
      ...(!read.success && { problem: read.error.issues.map(({ message }) => message).join('; ') }),
    };
  });
  if (terminal.json) {
    terminal.printJson(variables);
  } else {
    for (const variable of variables) printVariable(terminal, variable);
  }
  if (variables.some(({ problem }) => problem !== undefined)) {
    throw new CommandFailure({ code: 'wrong_usage', message: 'A variable of the environment is not valid.' }, EXIT.usage);
  }
}

function printVariable(terminal: Terminal, { name, value, default: standard, set, meaning, problem }: Variable): void {
  const text = (shown: unknown): string => (shown === null ? '(unset)' : Array.isArray(shown) ? shown.join(', ') : String(shown));
  const shown = problem === undefined ? text(value) : terminal.paint('red', `not valid: ${problem}`);
  terminal.print(`${terminal.paint('bold', name)} = ${shown}${set ? `  (default: ${text(standard)})` : ''}`);
  terminal.print(`  ${terminal.paint('dim', meaning)}`);
}
