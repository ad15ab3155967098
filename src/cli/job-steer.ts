/** `sheaf job pause|resume|cancel|retry|set|delete`: each asks for a change and says what the job is now. */
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import type { JobAnswer } from '../contracts/job-api.ts';
import { PRIORITIES, type Priority } from '../contracts/job.ts';
import { CONTROLS, type Control } from '../contracts/messages.ts';
import { VERDICTS, type Verdict } from '../contracts/source.ts';
import { refuse } from './client.ts';
import { type Context, contextOf } from './context.ts';
import { wrongUsage } from './failure.ts';
import { printable } from './format.ts';
import { amount, atLeastOne, collect } from './job-create.ts';
import { stateStyle } from './progress-bar.ts';
import type { Terminal } from './terminal.ts';
import { watchToEnd } from './watch.ts';

const CONTROL_TEXTS: Record<Control, string> = {
  pause: 'start no further row; those in flight are let finish',
  resume: 'go on with a job that is paused, or waits because nobody pays',
  cancel: 'stop a job for good; what is done is kept',
};

const VERDICT_TEXTS: Record<Verdict, string> = {
  approve: 'let a job remove the rows that it asks about',
  reject: 'do not let it: the job fails, and what was stored stays',
};

export function addJobSteering(job: Command): void {
  for (const control of CONTROLS) {
    const steered = job.command(`${control} <id>`).description(CONTROL_TEXTS[control]);
    if (control === 'resume') steered.option('--max-cost <amount>', 'what the job may cost from now on, with what it has cost', amount);
    steered
      .action(async (id: string, { maxCost }: { maxCost?: number }, command: Command) => {
        const { sheaf, terminal, signal } = contextOf(command);
        if (maxCost !== undefined) await sheaf.job(id).set({ maxCost }, signal).catch(refuse);
        printChanged(terminal, await sheaf.job(id)[control](signal).catch(refuse));
      });
  }

  for (const verdict of VERDICTS) {
    job.command(`${verdict} <id>`)
      .description(VERDICT_TEXTS[verdict])
      .action(async (id: string, _options: object, command: Command) => {
        const { sheaf, terminal, signal } = contextOf(command);
        printChanged(terminal, await sheaf.job(id)[verdict](signal).catch(refuse));
      });
  }

  job.command('set <id>')
    .description("change a job's priority, concurrency or budget while it runs")
    .addOption(new Option('--priority <priority>', 'what is served first').choices([...PRIORITIES]))
    .option('--concurrency <n>', 'rows handled at once', atLeastOne)
    .option('--max-cost <amount>', 'what its rows may cost together', amount)
    .action(async (id: string, change: { priority?: Priority; concurrency?: number; maxCost?: number }, command: Command) => {
      const { sheaf, terminal, signal } = contextOf(command);
      if (Object.keys(change).length === 0) throw wrongUsage('There is nothing to change.', 'Give --priority, --concurrency or --max-cost.');
      printChanged(terminal, await sheaf.job(id).set(change, signal).catch(refuse));
    });

  job.command('retry <id>')
    .description('run the failed and remaining rows of an ended job again')
    .option('--code <code>', 'only rows that failed with this code (repeatable)', collect)
    .option('--group <fingerprint>', 'only rows whose failure is of this group, as `job errors` names it (repeatable)', collect)
    .option('--wait', 'watch the job to its end; exit code 1 unless every row got through')
    .action(async (id: string, { code, group, wait = false }: { code?: string[]; group?: string[]; wait?: boolean }, command: Command) => {
      const context = contextOf(command);
      const { sheaf, terminal, signal } = context;
      const job = await sheaf.job(id).retry({ ...(code && { codes: code }), ...(group && { fingerprints: group }) }, signal).catch(refuse);
      if (wait) return watchToEnd(context, id);
      printChanged(terminal, job);
      terminal.note(`Attempt ${job.attempt}. Follow it: npx sheaf job watch ${id}`);
    });

  job.command('delete <id>')
    .description('cancel a job and remove its record, events and results; a named source keeps its rows')
    .option('--yes', 'do not ask')
    .action(async (id: string, { yes = false }: { yes?: boolean }, command: Command) => {
      const context = contextOf(command);
      const { sheaf, terminal, signal } = context;
      if (!yes && !(await confirmed(context, id))) return terminal.note('Nothing was deleted.');
      const job = await sheaf.job(id).delete(signal).catch(refuse);
      if (terminal.json) terminal.printJson(job);
      else terminal.print(`The job ${id} is being deleted.`);
    });
}

function printChanged(terminal: Terminal, job: JobAnswer): void {
  if (terminal.json) return terminal.printJson(job);
  terminal.print(`${job.id}  ${terminal.paint(stateStyle(job.state), job.state)}`);
  if (job.desired !== undefined) terminal.note(`Asked for: ${job.desired}. No worker has answered yet; it will happen as soon as one does.`);
}

async function confirmed({ sheaf, terminal, signal }: Context, id: string): Promise<boolean> {
  const { file, state } = await sheaf.job(id).get(signal).catch(refuse);
  if (terminal.json || process.stdin.isTTY !== true) throw wrongUsage('Deleting asks first, and there is nobody to ask.', 'Give --yes.');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // Raw input turns Ctrl-C into this event.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const answer = await lines.question(`Delete the ${state} job on ${printable(file.name)} with its results? [y/N] `, { signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.close();
  }
}
