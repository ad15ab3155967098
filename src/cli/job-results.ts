/** `sheaf job results`: streams what became of every row to stdout or a file. */
import { createWriteStream, promises as fs } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Command, Option } from 'commander';
import { refuse } from './client.ts';
import { contextOf } from './context.ts';
import { CommandFailure, wrongUsage } from './failure.ts';
import { bytes } from './format.ts';

const FORMATS = ['ndjson', 'csv', 'xlsx'] as const;
type Format = (typeof FORMATS)[number];
const isFormat = (name: string): name is Format => (FORMATS as readonly string[]).includes(name);

interface ResultOptions {
  format?: Format;
  output?: string;
  state?: string;
  raw?: boolean;
}

export function addJobResults(job: Command): void {
  job.command('results <id>')
    .description('every row with its original columns, output, state and error, in row order')
    .addOption(new Option('--format <format>', "default: the output file's extension, else ndjson").choices([...FORMATS]))
    .option('--output <file>', 'write to this file instead of stdout')
    .addOption(new Option('--state <state>', 'only rows with this outcome').choices(['done', 'unchanged', 'failed', 'skipped', 'remaining']))
    .option('--raw', 'CSV: leave cells as they are that a spreadsheet program would run as formulas')
    .action(async (id: string, { format, output, state, raw = false }: ResultOptions, command: Command) => {
      const { sheaf, terminal, signal } = contextOf(command);
      const extension = output === undefined ? '' : path.extname(output).slice(1).toLowerCase();
      const chosen = format ?? (isFormat(extension) ? extension : 'ndjson');
      if (chosen === 'xlsx' && output === undefined && terminal.out.isTTY === true) {
        throw wrongUsage('An XLSX file is no text for a terminal.', 'Give --output FILE.');
      }
      const response = await sheaf.job(id).download({ format: chosen, state, escape: raw ? false : undefined }, signal).catch(refuse);
      if (output === undefined) {
        await pipeline(bodyOf(response), terminal.out, { end: false, signal }).catch((error: unknown) => { throw brokenOff(error, signal); });
        return;
      }
      const size = await save(response, output, signal);
      if (terminal.json) terminal.printJson({ output: path.resolve(output), format: chosen, bytes: size });
      else terminal.note(`Wrote ${output} (${bytes(size)}).`);
    });
}

/** To be made where it is read at once: it may break at any moment. */
const bodyOf = ({ body }: Response): Readable =>
  (body === null ? Readable.from([]) : Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]));

/** The whole file or none: it appears under its name when it is complete. Answers its bytes. */
async function save(response: Response, output: string, signal: AbortSignal): Promise<number> {
  const special = await fs.stat(output).then((stat) => !stat.isFile(), () => false);
  const target = special ? output : `${output}.part`;
  const file = createWriteStream(target);
  try {
    await pipeline(bodyOf(response), file, { signal });
    if (!special) await fs.rename(target, output);
    return file.bytesWritten;
  } catch (error) {
    if (!special) await fs.rm(target, { force: true }).catch(() => undefined);
    throw brokenOff(error, signal, output);
  }
}

function brokenOff(error: unknown, signal: AbortSignal, output?: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (signal.aborted || code === 'EPIPE') return error;
  if (syscall !== undefined && output !== undefined && code !== 'ECONNRESET') {
    return wrongUsage(`${output} cannot be written (${code}).`, 'Name a file in a folder that exists and may be written.');
  }
  return new CommandFailure({ code: 'results_incomplete', message: 'The results broke off before their end.', remedy: 'Run the command again.' }, 1, error);
}
