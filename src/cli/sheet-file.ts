/** A sheet on the command line becomes a job's source: a file by its path where the API may read it, else uploaded; a Google Sheet by its address. */
import { createReadStream, constants, promises as fs } from 'node:fs';
import path from 'node:path';
import { Transform } from 'node:stream';
import type { SourceLocation } from '../contracts/job.ts';
import { isSpreadsheetAddress } from '../domain/spreadsheet-address.ts';
import { type Client, refuse } from './client.ts';
import type { Context } from './context.ts';
import { CommandFailure, wrongUsage } from './failure.ts';
import { isLoopback } from './find-api.ts';
import { bytes, isolate, printable } from './format.ts';
import { openPainter, paintLine } from './progress-bar.ts';

/** Codes that say: not by path, then. */
const NOT_BY_PATH = new Set(['path_not_allowed', 'source_not_found']);
/** Below this an upload is over before a bar says anything. */
const BAR_FROM_BYTES = 8 * 2 ** 20;

/** Who asks Google, where the sheet is there. */
export interface GoogleOptions {
  credentials?: string;
  useAdc?: true;
}

/**
 * Calls `ask` with the file's path where the API runs here, and where that is refused with an upload of it.
 * Rejects with wrong usage where the file is missing, a directory or not readable.
 */
export const withSheetFile = <Answer>(context: Context, file: string, google: GoogleOptions, ask: (source: SourceLocation) => Promise<Answer>): Promise<Answer> =>
  withSheetFiles(context, [file], google, ([source]) => ask(source!));

/** The same for several at once: all go by path, or all are uploaded. */
export async function withSheetFiles<Answer>(
  context: Context, files: string[], { credentials, useAdc }: GoogleOptions, ask: (sources: SourceLocation[]) => Promise<Answer>,
): Promise<Answer> {
  const addresses = files.filter(isSpreadsheetAddress);
  if (addresses.length > 0) {
    if (addresses.length < files.length) throw wrongUsage('Some of these are Google Sheets and others are files.', 'Give the one in one command and the others in another.');
    return ask(addresses.map((spreadsheet) => ({ spreadsheet, ...(credentials !== undefined && { credentials }), ...(useAdc && { useAdc }) })));
  }
  const found: { absolute: string; size: number | null }[] = [];
  for (const file of files) {
    const absolute = path.resolve(file);
    found.push({ absolute, size: await checkFile(file, absolute) });
  }
  // A pipe (`<(zcat …)`) can be read only once and only here.
  if (found.every(({ size }) => size !== null) && isLoopback(context.client.url)) {
    try {
      return await ask(found.map(({ absolute }) => ({ path: absolute })));
    } catch (error) {
      if (!(error instanceof CommandFailure && NOT_BY_PATH.has(error.problem.code))) throw error;
    }
  }
  const uploads: SourceLocation[] = [];
  for (const { absolute, size } of found) uploads.push({ upload: await upload(context, absolute, size) });
  return ask(uploads);
}

/** Bytes; null for a pipe. */
async function checkFile(given: string, absolute: string): Promise<number | null> {
  try {
    const stat = await fs.stat(absolute);
    if (stat.isDirectory()) throw wrongUsage(`${given} is a directory.`, 'Name one sheet file: CSV, TSV or XLSX.');
    await fs.access(absolute, constants.R_OK);
    return stat.isFile() ? stat.size : null;
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw wrongUsage(`There is no file ${given}.`, `Looked for ${absolute}.`);
    if (code === 'EACCES' || code === 'EPERM') throw wrongUsage(`The file ${given} may not be read by this user.`);
    throw wrongUsage(`The file ${given} cannot be read (${code ?? 'unknown error'}).`);
  }
}

async function upload({ sheaf, terminal, signal }: Context, absolute: string, size: number | null): Promise<string> {
  const name = path.basename(absolute);
  const painter = openPainter(terminal.err);
  const showBar = !terminal.json && terminal.err.isTTY === true && (size === null || size >= BAR_FROM_BYTES);
  let sent = 0;
  let shownAt = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sent += chunk.length;
      if (showBar && performance.now() - shownAt > 100) {
        shownAt = performance.now();
        painter.paint([uploadLine(name, sent, size, (terminal.err.columns || 80) - 1, terminal.paintErr)]);
      }
      done(null, chunk);
    },
  });
  const content = createReadStream(absolute);
  let unreadable: Error | undefined;
  content.on('error', (error) => counted.destroy((unreadable = error)));
  try {
    return (await sheaf.uploadSheet(name, content.pipe(counted), { size: size ?? undefined, signal }).catch(refuse)).id;
  } catch (error) {
    if (unreadable !== undefined) throw wrongUsage(`The file ${absolute} cannot be read to its end (${unreadable.message}).`);
    throw error;
  } finally {
    painter.clear();
    content.destroy();
  }
}

function uploadLine(name: string, sent: number, size: number | null, width: number, paint: Context['terminal']['paintErr']): string {
  const share = size === null ? null : sent / size;
  const filled = Math.floor((share ?? 0) * 30);
  return paintLine([
    { text: 'uploads    ' },
    ...(share === null ? [] : [{ text: '█'.repeat(filled), style: 'cyan' as const }, { text: '░'.repeat(30 - filled), style: 'dim' as const },
      { text: ` ${(share * 100).toFixed(1).padStart(5)} %`, style: 'bold' as const }]),
    { text: `  ${bytes(sent)}${size === null ? '' : ` of ${bytes(size)}`}  ${isolate(printable(name))}` },
  ], width, paint);
}

/** Removes what a preview uploaded; it is of no use to anybody else. */
export async function forgetUpload(client: Client, source: SourceLocation): Promise<void> {
  if ('upload' in source) await client.call('DELETE', `/uploads/${source.upload}`).catch(() => undefined);
}
