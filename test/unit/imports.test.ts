import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const src = fileURLToPath(new URL('../../src', import.meta.url));

/**
 * Which room imports which. Imports go one way. Single files of `src/` count as rooms of their own.
 */
const ROOMS: Record<string, string[]> = {
  contracts: [],
  domain: ['contracts'],
  workflows: ['contracts', 'domain'],
  store: ['contracts', 'domain'],
  blobs: ['contracts', 'domain'],
  limits: ['contracts', 'domain', 'settings-file'],
  // A handler may ask a model, and call what a user names.
  handlers: ['contracts', 'domain', 'models', 'web', 'pages'],
  models: ['contracts', 'domain', 'settings-file'],
  web: ['contracts'],
  // Read under limits, and kept.
  pages: ['contracts', 'web', 'documents', 'limits', 'blobs'],
  // Google is asked under limits.
  sources: ['contracts', 'domain', 'blobs', 'limits', 'process-lock', 'settings-file'],
  documents: ['contracts', 'domain', 'sources'],
  temporal: ['contracts', 'domain', 'store', 'blobs', 'log'],
  // What arrives is looked at (`documents`) before it is kept.
  uploads: ['contracts', 'domain', 'documents', 'store', 'blobs', 'limits', 'temporal'],
  client: ['contracts', 'domain'],
  // `workflows` for the retry policy and `temporal` for workflow ids: both are what the other side of a call must agree on.
  activities: ['contracts', 'domain', 'documents', 'handlers', 'sources', 'store', 'blobs', 'limits', 'models', 'web', 'pages', 'uploads', 'temporal', 'workflows', 'log', 'secrets', 'webhooks'],
  api: ['contracts', 'domain', 'documents', 'uploads', 'temporal', 'store', 'blobs', 'limits', 'sources', 'handlers', 'config', 'log', 'secrets', 'formats'],
  integrity: ['contracts', 'domain', 'store', 'blobs', 'temporal'],
  embedded: ['temporal', 'config', 'container', 'process-lock'],
  // `store`, `container` and `diagnosis` only for what is done without an API: migration, preparation, the check before a start.
  cli: ['contracts', 'domain', 'client', 'config', 'embedded', 'store', 'container', 'diagnosis', 'integrity'],
  // The rules of named limits, the names of credentials the hosts that may be called and the prices of models are part of the configuration.
  config: ['formats', 'limits', 'models', 'secrets', 'sources', 'web', 'webhooks'],
  log: ['config'],
  'process-lock': [],
  'settings-file': [],
  secrets: ['contracts', 'settings-file'],
  formats: ['contracts', 'domain', 'settings-file'],
  webhooks: ['contracts', 'settings-file'],
  'storage-identity': ['contracts', 'store', 'blobs'],
};

/** They put the rooms together. */
const ROOTS = ['backup', 'container', 'diagnosis', 'worker', 'server'];

/** Loaded into every cached workflow, or closed to the sandbox. */
const NOT_IN_WORKFLOWS = /^(zod|node:|@temporalio\/(?!workflow$|common$))/;

interface Import {
  file: string;
  specifier: string;
  typeOnly: boolean;
  /** `import()`: not before it is called. */
  lazy: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts')).map((file) => file.replaceAll(path.sep, '/'));
const imports: Import[] = files.flatMap((file) => {
  const text = readFileSync(path.join(src, file), 'utf8');
  return [...text.matchAll(/(?:^|\n)\s*(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g)]
    .map(([, type, from, dynamic, bare]) => ({ file, specifier: from ?? dynamic ?? bare ?? '', typeOnly: type !== undefined, lazy: dynamic !== undefined }));
});

const roomOf = (file: string): string => file.split('/')[0]?.replace(/\.ts$/, '') ?? '';

describe('imports between rooms', () => {
  test('every room is on the plan', () => {
    expect([...new Set(files.map(roomOf))].filter((room) => !(room in ROOMS) && !ROOTS.includes(room))).toEqual([]);
  });

  test('the imports of every file are found', () => {
    expect(imports.filter(({ file }) => file === 'worker.ts').map(({ specifier }) => specifier)).toContain('./temporal/bundle.ts');
  });

  test('go one way', () => {
    const wrong = imports
      .filter(({ specifier }) => specifier.startsWith('.') && specifier.endsWith('.ts'))
      .map(({ file, specifier }) => ({ file, target: path.posix.join(path.posix.dirname(file), specifier) }))
      .filter(({ file, target }) => {
        const [from, to] = [roomOf(file), roomOf(target)];
        return from !== to && !ROOTS.includes(from) && !ROOMS[from]?.includes(to);
      })
      .map(({ file, target }) => `src/${file} imports src/${target}`);
    expect(wrong).toEqual([]);
  });

  test('of workflows, and of what they import, are light and deterministic', () => {
    const wrong = new Set<string>();
    const visited = new Set<string>();
    const visit = (file: string): void => {
      if (visited.has(file)) return;
      visited.add(file);
      for (const { specifier, typeOnly } of imports.filter((one) => one.file === file)) {
        if (typeOnly) continue;
        if (specifier.startsWith('.')) visit(path.posix.join(path.posix.dirname(file), specifier));
        else if (NOT_IN_WORKFLOWS.test(specifier)) wrong.add(`src/${file} imports ${specifier}`);
      }
    };
    for (const file of files) if (roomOf(file) === 'workflows') visit(file);
    expect(visited.size).toBeGreaterThan(3);
    expect([...wrong]).toEqual([]);
  });

  test('leave the clients of Elasticsearch, S3 and Google unloaded where they are not used', () => {
    const loaded = (file: string, seen = new Set<string>()): Set<string> => {
      for (const { specifier } of imports.filter((one) => one.file === file && !one.typeOnly && !one.lazy)) {
        const target = specifier.startsWith('.') ? path.posix.join(path.posix.dirname(file), specifier) : specifier;
        if (seen.has(target)) continue;
        seen.add(target);
        loaded(target, seen);
      }
      return seen;
    };
    const entries = ['worker.ts', 'server.ts', 'cli/main.ts'];
    for (const entry of entries) expect(loaded(entry).size).toBeGreaterThan(5);
    expect(entries.flatMap((entry) => [...loaded(entry)].filter((one) => /^(@(elastic|aws-sdk|googleapis)\/|google-auth-library)/.test(one)))).toEqual([]);
  });
});
