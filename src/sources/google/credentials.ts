/** The credentials that a process is configured with, by name: a job carries the name, and nothing else of them. */
import path from 'node:path';
import { z } from 'zod';
import { SheafError } from '../../contracts/errors.ts';
import type { SpreadsheetLocation } from '../../contracts/job.ts';
import { isInline, readSettingsFile } from '../../settings-file.ts';

const entry = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('service_account'), file: z.string().min(1) }),
  z.strictObject({ type: z.literal('authorized_user'), file: z.string().min(1) }),
  z.strictObject({ type: z.literal('adc') }),
], { error: 'expected {type: service_account | authorized_user, file} or {type: adc}' });

const entries = z.record(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, 'expected a name of lower-case letters, digits, "_" and "-"'), entry);

export type Credentials = z.output<typeof entry>;
export type NamedCredentials = ReadonlyMap<string, Credentials>;

/** Used where a job names none; ADC stands in for it. */
const DEFAULT = 'default';

/**
 * `given`: a file (YAML or JSON), or its content where it begins with `{`. Paths are relative to that file, or to the
 * working directory. Throws an error whose message names the place.
 */
export function readNamedCredentials(given: string | undefined): NamedCredentials {
  if (given === undefined) return new Map();
  const named = readSettingsFile(given, entries);
  const folder = isInline(given) ? process.cwd() : path.dirname(path.resolve(given));
  return new Map(Object.entries(named).map(([name, one]) => [name, 'file' in one ? { ...one, file: path.resolve(folder, one.file) } : one]));
}

/** What a location asks for. `name` is for people. Throws `credentials_unknown`. */
export function chooseCredentials(known: NamedCredentials, { credentials, useAdc }: SpreadsheetLocation): { name: string; credentials: Credentials } {
  const adc = { name: 'Application Default Credentials', credentials: { type: 'adc' } as const };
  if (useAdc) return adc;
  const found = known.get(credentials ?? DEFAULT);
  if (found) return { name: `credentials "${credentials ?? DEFAULT}"`, credentials: found };
  if (credentials === undefined) return adc;
  throw new SheafError('credentials_unknown', `There are no credentials called "${credentials}" here`, {
    remedy: `Name one of those in SHEAF_CREDENTIALS of the workers and the API${known.size > 0 ? `: ${[...known.keys()].join(', ')}` : ', which has none'}`,
    place: { field: 'source.credentials' },
  });
}
