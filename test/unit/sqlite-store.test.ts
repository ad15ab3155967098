/** What is SQLite's own: schema versions, damaged and locked files, a full disk. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { SqliteFile } from '../../src/store/sqlite/database.ts';
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
});
