/**
 * `node src/backup.ts save|restore|verify FOLDER [REPOSITORY]`: everything that Sheaf keeps, while it is stopped. What is
 * saved is counted before and after, and again once it is restored. The environment says where it is kept.
 *
 * Embedded stores and the embedded Temporal server are copied; objects in S3 are downloaded; Elasticsearch makes a snapshot
 * in REPOSITORY (default `sheaf`, made as a shared file system where there is none). A Temporal server of your own has its own backup.
 */
import { createReadStream, createWriteStream, existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isDeepStrictEqual } from 'node:util';
import Database from 'better-sqlite3';
import { z } from 'zod';
import { type Config, readConfig } from './config.ts';
import { elasticsearchOptions, openBlobs } from './container.ts';
import { tryLock } from './process-lock.ts';
import type { Cluster } from './store/elasticsearch/connection.ts';

/** Not part of what is kept: who runs, and what was said. */
const LEFT_OUT = new Set(['logs', 'stack.json', 'stack.lock']);
const REPOSITORY = 'sheaf';

const savedSchema = z.object({
  at: z.string(),
  store: z.string(),
  blobs: z.string(),
  snapshot: z.object({ repository: z.string(), name: z.string() }).nullable(),
  /** Records by kind, objects and their bytes. */
  counts: z.record(z.string(), z.number()),
});
type Saved = z.infer<typeof savedSchema>;

/** Told to a person; no fault of the script. */
class Refusal extends Error {}

const [what, folder, repository = REPOSITORY] = process.argv.slice(2);
try {
  if (folder === undefined || (what !== 'save' && what !== 'restore' && what !== 'verify')) throw new Refusal('Usage: backup save|restore|verify FOLDER [REPOSITORY]');
  const config = readConfig();
  const unlock = existsSync(config.SHEAF_HOME) || what !== 'save' ? tryLock(path.join(config.SHEAF_HOME, 'stack.lock')) : (): void => {};
  if (unlock === null) throw new Refusal(`A stack runs in ${config.SHEAF_HOME}. Stop it first (Ctrl-C lets rows in flight finish).`);
  const counts = await { save, restore, verify }[what](config, path.resolve(folder));
  unlock();
  const lines = Object.entries(counts).map(([kind, count]) => `  ${kind}: ${count}`);
  process.stdout.write(`${{ save: 'Saved', restore: 'Restored', verify: 'As it was saved' }[what]}:\n${lines.join('\n')}\n`);
} catch (error) {
  const remedy = error instanceof Error && 'remedy' in error && typeof error.remedy === 'string' ? `\n${error.remedy}` : '';
  process.stderr.write(`${error instanceof Refusal || remedy !== '' ? `${(error as Error).message}${remedy}` : error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
}

async function save(config: Config, to: string): Promise<Saved['counts']> {
  if (existsSync(to) && (await readdir(to)).length > 0) throw new Refusal(`${to} is not empty. Save to a folder of its own.`);
  await mkdir(to, { recursive: true });
  const counts = await count(config);
  await copyHome(config.SHEAF_HOME, path.join(to, 'home'));
  const snapshot = config.SHEAF_STORE === 'elasticsearch' ? await takeSnapshot(config) : null;
  if (config.SHEAF_BLOBS === 's3') await downloadBlobs(config, path.join(to, 'blobs'));
  if (!isDeepStrictEqual(await count(config), counts)) throw new Refusal('Something wrote meanwhile, so the parts of this backup would not agree. Stop the API and every worker, then save again.');
  const saved: Saved = { at: new Date().toISOString(), store: config.SHEAF_STORE, blobs: config.SHEAF_BLOBS, snapshot, counts };
  // Last: a folder without it is no backup.
  await writeFile(path.join(to, 'backup.json'), `${JSON.stringify(saved, null, 2)}\n`);
  return counts;
}

async function restore(config: Config, from: string): Promise<Saved['counts']> {
  const saved = readSaved(config, from);
  const present = Object.entries(await count(config)).filter(([, number]) => number > 0);
  if (present.length > 0) throw new Refusal(`There is something already (${present.map(([kind, number]) => `${kind}: ${number}`).join(', ')}). Restore to an empty SHEAF_HOME, index prefix and bucket.`);
  await copyHome(path.join(from, 'home'), config.SHEAF_HOME);
  if (saved.snapshot !== null) await restoreSnapshot(config, saved.snapshot);
  if (config.SHEAF_BLOBS === 's3') await uploadBlobs(config, path.join(from, 'blobs'));
  return verify(config, from);
}

async function verify(config: Config, from: string): Promise<Saved['counts']> {
  const { counts } = readSaved(config, from);
  const found = await count(config);
  const wrong = [...new Set([...Object.keys(counts), ...Object.keys(found)])].filter((kind) => counts[kind] !== found[kind]);
  if (wrong.length > 0) throw new Refusal(`Not as it was saved: ${wrong.map((kind) => `${kind}: ${found[kind] ?? 'none'} instead of ${counts[kind] ?? 'none'}`).join(', ')}.`);
  return found;
}

function readSaved(config: Config, from: string): Saved {
  const file = path.join(from, 'backup.json');
  if (!existsSync(file)) throw new Refusal(`${from} holds no whole backup: there is no backup.json in it.`);
  const saved = savedSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  if (saved.store !== config.SHEAF_STORE || saved.blobs !== config.SHEAF_BLOBS) {
    throw new Refusal(`The backup is of ${saved.store} and ${saved.blobs}; the environment names ${config.SHEAF_STORE} and ${config.SHEAF_BLOBS}.`);
  }
  return saved;
}

// ── what there is ──────────────────────────────────────────────────────────────────────────────────────────────

async function count(config: Config): Promise<Saved['counts']> {
  const counts = config.SHEAF_STORE === 'sqlite' ? countTables(path.join(config.SHEAF_HOME, 'store')) : await countIndices(config);
  if (config.SHEAF_BLOBS === 's3' || existsSync(path.join(config.SHEAF_HOME, 'blobs'))) {
    const blobs = await openBlobs(config);
    for await (const { size } of blobs.list('')) {
      counts['objects'] = (counts['objects'] ?? 0) + 1;
      counts['bytes of objects'] = (counts['bytes of objects'] ?? 0) + size;
    }
  }
  return counts;
}

function countTables(store: string): Saved['counts'] {
  const counts: Saved['counts'] = {};
  for (const file of ['control.db', 'ledger.db', 'answers.db'].filter((name) => existsSync(path.join(store, name)))) {
    const database = new Database(path.join(store, file), { readonly: true });
    const tables = database.prepare<[], { name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE 'item_text%' ORDER BY name").all();
    for (const { name } of tables) {
      counts[`${file} ${name}`] = database.prepare<[], { rows: number }>(`SELECT count(*) AS rows FROM "${name}"`).get()?.rows ?? 0;
    }
    database.close();
  }
  return counts;
}

async function countIndices(config: Config): Promise<Saved['counts']> {
  return withCluster(config, async (cluster) => {
    const { client, names } = cluster;
    const { ALL_KINDS } = await import('./store/elasticsearch/schema.ts');
    const counts: Saved['counts'] = {};
    for (const kind of ALL_KINDS) {
      if (!(await cluster.call(() => client.indices.exists({ index: names.read(kind) })))) continue;
      await cluster.call(() => client.indices.refresh({ index: names.read(kind) }));
      counts[kind] = (await cluster.call(() => client.count({ index: names.read(kind) }))).count;
    }
    return counts;
  });
}

// ── the parts ──────────────────────────────────────────────────────────────────────────────────────────────────

async function copyHome(from: string, to: string): Promise<void> {
  if (!existsSync(from)) return;
  await cp(from, to, { recursive: true, filter: (file) => path.dirname(file) !== from || !LEFT_OUT.has(path.basename(file)) });
}

async function downloadBlobs(config: Config, to: string): Promise<void> {
  const blobs = await openBlobs(config);
  for await (const { key } of blobs.list('')) {
    const file = path.join(to, key);
    await mkdir(path.dirname(file), { recursive: true });
    await pipeline(await blobs.stream(key), createWriteStream(file));
  }
}

async function uploadBlobs(config: Config, from: string): Promise<void> {
  if (!existsSync(from)) return;
  const blobs = await openBlobs(config);
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    await blobs.put(path.relative(from, file).replaceAll(path.sep, '/'), createReadStream(file));
  }
}

async function takeSnapshot(config: Config): Promise<Saved['snapshot']> {
  return withCluster(config, async (cluster) => {
    const { client, names } = cluster;
    const there = await client.snapshot.getRepository({ name: repository }, { ignore: [404] });
    if (!(repository in there)) await cluster.call(() => client.snapshot.createRepository({ name: repository, repository: { type: 'fs', settings: { location: names.prefix } } }));
    const name = `${names.prefix}-${new Date().toISOString().toLowerCase().replaceAll(/[^0-9tz]/g, '')}`;
    const { snapshot } = await client.snapshot.create({ repository, snapshot: name, wait_for_completion: true, indices: `${names.prefix}-*`, include_global_state: false }, { requestTimeout: '24h' });
    if (snapshot?.state !== 'SUCCESS') throw new Refusal(`Elasticsearch's snapshot ${name} is ${snapshot?.state ?? 'not there'}. \`GET _snapshot/${repository}/${name}\` says why.`);
    return { repository, name };
  });
}

async function restoreSnapshot(config: Config, { repository, name }: NonNullable<Saved['snapshot']>): Promise<void> {
  await withCluster(config, async (cluster) => {
    const { client, names } = cluster;
    // Indices that a start has made, and that are empty: see above.
    const empty = Object.keys(await cluster.call(() => client.indices.get({ index: `${names.prefix}-*`, allow_no_indices: true })));
    if (empty.length > 0) await cluster.call(() => client.indices.delete({ index: empty }));
    const { snapshot } = await client.snapshot.restore({ repository, snapshot: name, wait_for_completion: true, indices: `${names.prefix}-*`, include_global_state: false }, { requestTimeout: '24h' });
    if (snapshot === undefined || snapshot.shards.failed > 0) throw new Refusal(`Elasticsearch could not restore every shard of ${name}.`);
  });
}

async function withCluster<T>(config: Config, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  const { Cluster } = await import('./store/elasticsearch/connection.ts');
  const cluster = new Cluster(elasticsearchOptions(config));
  try {
    return await work(cluster);
  } finally {
    await cluster.client.close();
  }
}
