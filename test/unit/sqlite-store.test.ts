/** What is SQLite's own: schema versions, damaged and locked files, a full disk, the thread that searches. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { searchTerms } from '../../src/domain/search-text.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { SqliteFile } from '../../src/store/sqlite/database.ts';
import { LEDGER_MIGRATIONS } from '../../src/store/sqlite/ledger-schema.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, aLane, anItem } from '../conformance/store-samples.ts';

describe('the SQLite store', () => {
  let folder: string;
  const file = (name: string) => path.join(folder, name);

  beforeEach(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-sqlite-'));
  });
  afterEach(() => fs.rm(folder, { recursive: true, force: true }));

  it.each(['control.db', 'ledger.db'])('refuses a %s of a newer version and leaves it as it is', async (name) => {
    await (await openSqliteStore({ folder })).close();
    const newer = new Sqlite(file(name));
    newer.pragma('user_version = 9000');
    newer.close();
    await expect(openSqliteStore({ folder })).rejects.toMatchObject({ code: 'schema_too_new', message: expect.stringContaining('9000') });
    const after = new Sqlite(file(name));
    expect(after.pragma('user_version', { simple: true })).toBe(9000);
    after.close();
  });

  it('migrates an older file forward, all steps or none', async () => {
    const steps = ['CREATE TABLE a (x) STRICT_TYPO', 'CREATE TABLE b (x)'];
    await expect(SqliteFile.open(file('m.db'), ['CREATE TABLE first (x)', ...steps], 1_000)).rejects.toThrow();
    const once = await SqliteFile.open(file('m.db'), ['CREATE TABLE first (x)'], 1_000);
    once.db.exec('INSERT INTO first VALUES (1)');
    once.close();
    const twice = await SqliteFile.open(file('m.db'), ['CREATE TABLE first (x)', 'ALTER TABLE first ADD COLUMN y'], 1_000);
    expect(twice.db.prepare('SELECT x, y FROM first').all()).toEqual([{ x: 1, y: null }]);
    twice.close();
  });

  it('is opened by many at once in an empty folder', async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => openSqliteStore({ folder: file('new/folder') })));
    await stores[0]!.createJob(aJob('j1'));
    expect(await stores[5]!.getJob('acme', 'j1')).not.toBeNull();
    await Promise.all(stores.map((store) => store.close()));
  });

  it.each([
    ['is not a database', async (name: string) => fs.writeFile(name, 'x'.repeat(5_000))],
    ['is a folder', async (name: string) => { await fs.mkdir(name); }],
  ])('says what to do when a file %s', async (_, spoil) => {
    await spoil(file('ledger.db'));
    await expect(openSqliteStore({ folder })).rejects.toMatchObject({
      code: 'store_unavailable', message: expect.stringContaining('ledger.db'), remedy: expect.any(String),
    });
  });

  it('says what to do when its folder cannot be made', async () => {
    await fs.writeFile(file('taken'), '');
    await expect(openSqliteStore({ folder: file('taken/below') })).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  it('says what to do when the disk is full, keeps what was there, and goes on when there is room', async () => {
    const opened = await SqliteFile.open(file('f.db'), ['CREATE TABLE t (x TEXT)'], 1_000);
    const insert = opened.db.prepare<[string]>('INSERT INTO t VALUES (?)');
    await opened.write(() => insert.run('kept'));
    opened.db.pragma(`max_page_count = ${Number(opened.db.pragma('page_count', { simple: true }))}`);
    await expect(opened.write(() => insert.run('x'.repeat(100_000)))).rejects.toMatchObject({ code: 'store_unavailable', remedy: expect.stringContaining('space') });
    expect(await opened.read(() => opened.db.prepare('SELECT x FROM t').pluck().all())).toEqual(['kept']);
    opened.db.pragma('max_page_count = 1000');
    await opened.write(() => insert.run('x'.repeat(100_000)));
    expect(await opened.read(() => opened.db.prepare('SELECT count(*) FROM t').pluck().get())).toBe(2);
    opened.close();
  });

  it('waits for a writer in another process without holding up its own', async () => {
    const store = await openSqliteStore({ folder });
    const writer = new Sqlite(file('ledger.db'));
    writer.exec('BEGIN IMMEDIATE');
    let committed = false;
    const commit = store.commitRows({ lane: aLane(), job: 'j', tags: [], fence: 1n, items: [anItem('k', {})], failed: [], cleared: [] }).then(() => { committed = true; });
    // Jobs are in the other file, and reads wait for nobody.
    await store.createJob(aJob('j1'));
    expect((await store.readItems(aLane(), ['k'])).size).toBe(0);
    expect(committed).toBe(false);
    writer.exec('COMMIT');
    writer.close();
    await commit;
    expect((await store.readItems(aLane(), ['k'])).size).toBe(1);
    await store.close();
  });

  it('says that it is closed, also to a write that was waiting', async () => {
    const store = await openSqliteStore({ folder });
    const writer = new Sqlite(file('control.db'));
    writer.exec('BEGIN IMMEDIATE');
    const waiting = store.createJob(aJob('j1')).catch((error: unknown) => error);
    await store.close();
    expect(await waiting).toMatchObject({ code: 'store_unavailable' });
    writer.close();
    await expect(store.getJob('acme', 'j1')).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  it('names no cell and no path in its errors', async () => {
    const opened = await SqliteFile.open(file('f.db'), ['CREATE TABLE t (x TEXT)'], 1_000);
    opened.db.pragma(`max_page_count = ${Number(opened.db.pragma('page_count', { simple: true }))}`);
    const insert = opened.db.prepare<[string]>('INSERT INTO t VALUES (?)');
    const error = await opened.write(() => insert.run('secret'.repeat(20_000))).then(() => null, (reason: Error) => reason);
    expect(error?.message).toContain('f.db');
    expect(error?.message).not.toContain(folder);
    expect(error?.message).not.toContain('secret');
    opened.close();
  });

  const commit = (store: Store, keys: string[]) => store.commitRows({
    lane: aLane(), job: 'j', tags: [], fence: 1n, items: keys.map((key) => anItem(key, { text: 'wine' }, { output: null })), failed: [], cleared: [],
  });
  const search = (store: Store, cursor?: string | null) => store.search('acme', { terms: searchTerms('wine'), filter: {} }, { limit: 3, ...(cursor && { cursor }) });

  it('keeps nothing of a commit that SQLite refuses, and all of those that were written together with it', async () => {
    const store = await openSqliteStore({ folder });
    const keysOf = (name: string): string[] => Array.from({ length: 60 }, (_, n) => `${name}${n}`);
    const commitOf = (name: string, broken = -1) => store.commitRows({
      lane: aLane(), job: 'j', tags: [], fence: 1n, failed: [], cleared: [],
      items: keysOf(name).map((key, n) => anItem(key, { text: 'wine' }, { row: n === broken ? 1.5 : n + 1 })), // the column holds integers
    });
    // While the first is written the others come, and are one transaction.
    const ended = await Promise.allSettled([commitOf('first'), commitOf('before'), commitOf('broken', 30), commitOf('after')]);
    expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect((await store.readItems(aLane(), ['first', 'before', 'broken', 'after'].flatMap(keysOf))).size).toBe(180);
    await store.close();
    const ledger = new Sqlite(file('ledger.db'), { readonly: true });
    expect(ledger.prepare("SELECT count(*) FROM item_text WHERE item_text MATCH 'wine'").pluck().get()).toBe(180);
    ledger.close();
  });

  it('finds what an older version stored', async () => {
    const older = await SqliteFile.open(file('ledger.db'), LEDGER_MIGRATIONS.slice(0, 1), 1_000);
    older.db.exec(`INSERT INTO lanes VALUES (1, 'acme', 's', 'store');
      INSERT INTO items VALUES (1, 1, 'k', 2, 1, 'done', 'i', 'h', 'j', 1, 1, NULL, NULL, 1, 1000, NULL, NULL, '{"a":"wine"}');
      INSERT INTO item_text (rowid, text) VALUES (1, 'wine')`);
    older.close();
    const store = await openSqliteStore({ folder });
    expect((await search(store)).items).toMatchObject([{ key: 'k', tags: [], updatedAt: '1970-01-01T00:00:01.000Z', input: { a: 'wine' } }]);
    await store.close();
  });

  it('ranks no more than 10,000 matches: beyond, what was stored last comes first', async () => {
    const store = await openSqliteStore({ folder });
    await commit(store, Array.from({ length: 10_000 }, (_, n) => `k${n}`));
    expect((await search(store)).items.map(({ key }) => key)).toEqual(['k9999', 'k9998', 'k9997']);
    await store.commitRows({
      lane: aLane(), job: 'j', tags: [], fence: 2n, failed: [], cleared: [], items: [anItem('k0', { text: 'wine wine wine' }, { output: null })],
    });
    expect((await search(store)).items[0]?.key).toBe('k0');
    await commit(store, ['one more']);
    const first = await search(store);
    expect(first.items.map(({ key }) => key)).toEqual(['one more', 'k9999', 'k9998']);
    expect((await search(store, first.nextCursor)).items.map(({ key }) => key)).toEqual(['k9997', 'k9996', 'k9995']);
    await store.close();
  });

  it('answers searches asked at once, each with its own, while a writer holds the file', async () => {
    const store = await openSqliteStore({ folder });
    await commit(store, Array.from({ length: 9 }, (_, n) => `k${n}`));
    const writer = new Sqlite(file('ledger.db'));
    writer.exec('BEGIN IMMEDIATE');
    const words = ['wine', 'absent', 'wine', 'k3'];
    const found = await Promise.all(words.map((word) => store.search('acme', { terms: searchTerms(word), filter: {} }, { limit: 20 })));
    expect(found.map(({ items }) => items.length)).toEqual([9, 0, 9, 0]);
    writer.exec('ROLLBACK');
    writer.close();
    await store.close();
  });

  it('says that it is closed to a search that waits, and to one that comes later', async () => {
    const store = await openSqliteStore({ folder });
    await commit(store, ['k']);
    const waiting = search(store).catch((error: unknown) => error);
    await store.close();
    expect(await waiting).toMatchObject({ code: 'store_unavailable' });
    await expect(search(store)).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});
