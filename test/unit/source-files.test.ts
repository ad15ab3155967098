import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import { localFile } from '../../src/sources/files.ts';
import { uploadedFile } from '../../src/sources/uploaded-file.ts';

let root: string;
let allowed: string;

beforeAll(async () => {
  root = await realpath(await mkdtemp(path.join(os.tmpdir(), 'sheaf-files-')));
  allowed = path.join(root, 'in');
  await mkdir(path.join(allowed, 'sub'), { recursive: true });
  await writeFile(path.join(allowed, 'sub', 'a.csv'), 'a,b\n1,2\n');
  await writeFile(path.join(root, 'secret.csv'), 'no');
  await mkdir(path.join(root, 'in2'));
  await writeFile(path.join(root, 'in2', 'b.csv'), 'no');
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('local files', () => {
  const open = (file: string): ReturnType<typeof localFile> => localFile(path.join(allowed, file), [allowed]);

  test('are read whole or in part, as often as asked', async () => {
    const file = await open('sub/a.csv');
    expect([file.name, file.size]).toEqual(['a.csv', 8]);
    expect(await text(await file.stream())).toBe('a,b\n1,2\n');
    expect(await text(await file.stream({ start: 4, end: 7 }))).toBe('1,2');
    expect(await text(await file.stream({ start: 8 }))).toBe('');
  });

  test('outside the folders are refused, however the path goes there', async () => {
    await symlink(path.join(root, 'secret.csv'), path.join(allowed, 'link.csv'));
    await symlink(root, path.join(allowed, 'up'));
    for (const file of ['../secret.csv', 'link.csv', 'up/secret.csv', '../in2/b.csv', '../not-there.csv', '../nor/this.csv', 'up/not-there.csv', 'sub/a.csv\0.csv']) {
      await expect(open(file), file).rejects.toMatchObject({ code: 'path_not_allowed' });
    }
    await expect(localFile(path.join(allowed, 'sub', 'a.csv'), [])).rejects.toMatchObject({ code: 'path_not_allowed' });
  });

  test('a link that stays inside is followed', async () => {
    await symlink(path.join(allowed, 'sub', 'a.csv'), path.join(allowed, 'inside.csv'));
    expect((await open('inside.csv')).size).toBe(8);
  });

  test('what is not there, and what is no file', async () => {
    await expect(open('none.csv')).rejects.toMatchObject({ code: 'source_not_found' });
    await expect(open('sub/a.csv/x')).rejects.toMatchObject({ code: 'source_not_found' });
    await expect(open('sub')).rejects.toMatchObject({ code: 'source_unreadable' });
  });

  test.runIf(process.platform !== 'win32')('a pipe is refused without waiting for its writer', async () => {
    execFileSync('mkfifo', [path.join(allowed, 'pipe')]);
    await expect(open('pipe')).rejects.toMatchObject({ code: 'source_unreadable' });
  });

  test('a file that changed is another one: its fingerprint differs and the old one cannot be read', async () => {
    await writeFile(path.join(allowed, 'moving.csv'), 'a\n1\n');
    const before = await open('moving.csv');
    await writeFile(path.join(allowed, 'moving.csv'), 'a\n1\n2\n');
    expect((await open('moving.csv')).fingerprint).not.toBe(before.fingerprint);
    await expect(text(await before.stream())).rejects.toMatchObject({ code: 'source_changed' });
  });

  test('a change in the middle of reading is noticed', async () => {
    await writeFile(path.join(allowed, 'large.csv'), 'x'.repeat(2_000_000));
    const stream = await (await open('large.csv')).stream();
    const reading = (async () => {
      let first = true;
      for await (const _ of stream) {
        if (first) await writeFile(path.join(allowed, 'large.csv'), 'y'.repeat(2_000_001));
        first = false;
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'source_changed' });
  });
});

describe('uploads', () => {
  const withBlobs = (): Promise<Blobs> => openFilesystemBlobs({ folder: path.join(root, 'blobs') });

  test('are read through the blob store under the name that they came with', async () => {
    const blobs = await withBlobs();
    await blobs.put(blobKeys.upload('t', 'u1', 'c1'), Readable.from([Buffer.from('a,b\n1,2\n')]));
    await blobs.put(blobKeys.uploadMeta('t', 'u1'), Buffer.from(JSON.stringify({ name: 'mine.csv', size: 8, content: 'c1', owner: 'o', createdAt: '2024-01-01T00:00:00Z' })));
    const file = await uploadedFile(blobs, 't', 'u1');
    expect([file.name, file.size]).toEqual(['mine.csv', 8]);
    expect(await text(await file.stream({ start: 4, end: 7 }))).toBe('1,2');
    await expect(uploadedFile(blobs, 'other', 'u1')).rejects.toMatchObject({ code: 'upload_not_found' });
  });

  test('that never finished are not there', async () => {
    const blobs = await withBlobs();
    await blobs.put(blobKeys.upload('t', 'u2', 'c1'), Buffer.from('a'));
    await expect(uploadedFile(blobs, 't', 'u2')).rejects.toMatchObject({ code: 'upload_not_found' });
  });
});
