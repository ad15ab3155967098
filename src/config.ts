/** One parse of the environment. Everything is optional; `sheaf system config` lists it. */
import path from 'node:path';
import { z } from 'zod';

const port = z.coerce.number().int().min(0).max(65535);
const list = z.string().transform((text) => text.split(path.delimiter).filter(Boolean).map((entry) => path.resolve(entry)));
const bytes = z.coerce.number().int().positive();

export const environmentSchema = z.object({
  SHEAF_HOME: z.string().default('.sheaf').transform((folder) => path.resolve(folder)).describe('Folder of the embedded stack: databases, blobs, logs'),
  SHEAF_API_HOST: z.string().default('127.0.0.1').describe('Address that the API listens on'),
  SHEAF_API_PORT: port.default(8088).describe('Port of the API'),
  SHEAF_API_URL: z.url().optional().describe('Where the CLI finds the API; default: the stack that runs in SHEAF_HOME'),
  SHEAF_TEMPORAL_ADDRESS: z.string().optional().describe('host:port of a Temporal server; unset: the embedded one'),
  SHEAF_TEMPORAL_PORT: port.default(7233).describe('Port of the embedded Temporal server'),
  SHEAF_TEMPORAL_UI_PORT: port.default(8233).describe('Port of the embedded Temporal Web UI'),
  SHEAF_TEMPORAL_NAMESPACE: z.string().default('default').describe('Temporal namespace'),
  SHEAF_TEMPORAL_CLI: z.string().optional().describe('Path of the temporal binary; unset: PATH, then the cache'),
  SHEAF_STORE: z.enum(['sqlite']).default('sqlite').describe('Where records live'),
  SHEAF_BLOBS: z.enum(['filesystem']).default('filesystem').describe('Where files live'),
  SHEAF_INPUT_DIRS: list.default(() => [process.cwd()]).describe('Folders that jobs may read sheets from by path'),
  SHEAF_HANDLER_DIRS: list.default(() => [process.cwd()]).describe('Folders that handler modules may be loaded from'),
  SHEAF_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severe log line that is written'),
  SHEAF_MAX_UPLOAD_BYTES: bytes.default(10 * 2 ** 30).describe('Largest sheet file that can be uploaded'),
  SHEAF_MAX_RECORD_CHARS: bytes.default(4 * 2 ** 20).describe('Longest CSV record, or XLSX cell, in characters'),
  SHEAF_MAX_COLUMNS: bytes.default(16_384).describe('Most columns of a sheet'),
  SHEAF_MAX_INFLATED_BYTES: bytes.default(4 * 2 ** 30).describe('Most bytes that an XLSX may unpack to'),
});

export type Config = z.infer<typeof environmentSchema>;

/** Throws a `ZodError` that names the variables. Empty variables count as unset. */
export function readConfig(environment: Record<string, string | undefined> = process.env): Config {
  const set = Object.entries(environment).filter(([name, value]) => name.startsWith('SHEAF_') && value !== '');
  return environmentSchema.parse(Object.fromEntries(set));
}
