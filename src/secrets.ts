/**
 * Secrets that handlers may use by name: a job carries the name, and nothing else of them. Whoever may create jobs chooses
 * where they call, so each secret says which hosts it may be sent to.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { NAME_PATTERN, SECRET_NAME } from './contracts/api.ts';
import { SheafError } from './contracts/errors.ts';
import { isInline, readSettingsFile } from './settings-file.ts';

const allowed = {
  hosts: z.array(z.string().regex(/^[a-z0-9.:[\]-]{1,260}$/, 'expected a host, with its port where that is not the usual one')).default([]),
  tenants: z.array(z.string().regex(NAME_PATTERN, 'expected the name of a tenant')).min(1).optional(),
};
const entry = z.union([z.strictObject({ env: z.string().min(1), ...allowed }), z.strictObject({ file: z.string().min(1), ...allowed })], {
  error: 'expected {env: variable, hosts} or {file, hosts}',
});
const entries = z.record(z.string().regex(SECRET_NAME, 'expected a name of letters, digits, "_" and "-"'), entry);

export type NamedSecrets = ReadonlyMap<string, z.output<typeof entry>>;

/** `given`: a file (YAML or JSON) or its content. Files in it are relative to it. Throws an error whose message names the place. */
export function readNamedSecrets(given: string | undefined): NamedSecrets {
  if (given === undefined) return new Map();
  const folder = isInline(given) ? process.cwd() : path.dirname(path.resolve(given));
  return new Map(Object.entries(readSettingsFile(given, entries)).map(([name, one]) => [name, 'file' in one ? { ...one, file: path.resolve(folder, one.file) } : one]));
}

export interface SecretUse {
  tenant: string;
  /** Where it is sent, with the port where that is not the usual one; null: it only signs what is sent, or checks what came. */
  host: string | null;
}

/** Throws `secret_unknown` and `secret_not_allowed`; neither says anything of the value. */
export type Secrets = (name: string, use: SecretUse) => string;

/** Values are read when they are used, so that one that was changed counts at once. */
export function openSecrets(named: NamedSecrets, environment: Record<string, string | undefined> = process.env): Secrets {
  return (name, { tenant, host }) => {
    const found = named.get(name);
    if (!found || (found.tenants && !found.tenants.includes(tenant))) {
      throw new SheafError('secret_unknown', `There is no secret called "${name}" here.`, { remedy: 'Name one of those in SHEAF_SECRETS, of the workers and the API.' });
    }
    if (host !== null && !found.hosts.includes(host)) {
      throw new SheafError('secret_not_allowed', `The secret "${name}" may not be sent to ${host}.`, { remedy: 'Add the host to its `hosts` in SHEAF_SECRETS, if it may see it.' });
    }
    const value = 'env' in found ? environment[found.env] : contentOf(found.file);
    if (!value) throw new SheafError('secret_unknown', `The secret "${name}" has no value.`, { remedy: `Set ${'env' in found ? `the variable ${found.env}` : 'its file'} where the workers and the API run.` });
    return value;
  };
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined;
  }
}
