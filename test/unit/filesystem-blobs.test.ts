/** What is the folder's own: its layout, links, leftovers, and a disk that refuses. */
import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';

const MODULE = pathToFileURL(path.resolve(import.meta.dirname, '../../src/blobs/filesystem.ts')).href;

describe('blobs in a folder', () => {
  let root: string;
  let folder: string;
  let blobs: Blobs;
  const aside = () => fs.readdir(path.join(folder, 'partial'));

  beforeEach(async () => {
    root = await fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-folder-'));
    folder = path.join(root, 'blobs');
    blobs = await openFilesystemBlobs({ folder });
  });
  afterEach(() => fs.rm(root, { recursive: true, force: true }));

  it('never leave it through a link, neither of a folder nor of a file', async () => {
    const outside = path.join(root, 'outside');
    await fs.mkdir(outside);
    await fs.writeFile(path.join(outside, 'secret'), 'secret');
    await blobs.put('acme/a', Buffer.from('x'));
    await fs.symlink(outside, path.join(folder, 'objects', 'acme', 'link'), 'dir');
    await fs.symlink(path.join(outside, 'secret'), path.join(folder, 'objects', 'acme', 'file'));

    for (const call of [
      () => blobs.get('acme/link/secret'), () => blobs.stream('acme/link/secret'), () => blobs.head('acme/link/secret'),
      () => blobs.put('acme/link/new', Buffer.from('x')), () => blobs.put('acme/link/deep/new', Buffer.from('x')),
      () => blobs.delete('acme/link/secret'), () => blobs.deleteUnder('acme/link/deep/'),
    ]) await expect(call()).rejects.toMatchObject({ code: 'blobs_unavailable' });
    await expect(blobs.get('acme/file')).rejects.toMatchObject({ code: 'blob_not_found' });
    expect(await blobs.head('acme/file')).toBeNull();
    await blobs.put('acme/file', Buffer.from('mine'));
    expect(await fs.readFile(path.join(outside, 'secret'), 'utf8')).toBe('secret');

    await blobs.deleteUnder('acme/');
    expect(await fs.readdir(outside)).toEqual(['secret']);
    expect(await fs.readdir(path.join(folder, 'objects'))).toEqual([]);
  });

  it('do not list what others put there', async () => {
    await blobs.put('acme/a', Buffer.from('x'));
    await fs.writeFile(path.join(folder, 'objects', 'acme', 'not a key'), '');
    await fs.writeFile(path.join(folder, 'objects', 'acme', '%zz'), '');
    await fs.symlink(os.tmpdir(), path.join(folder, 'objects', 'acme', 'link'), 'dir');
    const keys: string[] = [];
    for await (const { key } of blobs.list('')) keys.push(key);
    expect(keys).toEqual(['acme/a']);
  });

  it('remove what a crash left aside when it is an hour old, and no write that may still be going on', async () => {
    const old = path.join(folder, 'partial', 'old');
    await fs.writeFile(old, 'x');
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    await fs.utimes(old, longAgo, longAgo);
    await fs.writeFile(path.join(folder, 'partial', 'new'), 'x');
    await fs.mkdir(path.join(folder, 'partial', 'old-upload'));
    await fs.utimes(path.join(folder, 'partial', 'old-upload'), longAgo, longAgo);
    await openFilesystemBlobs({ folder });
    expect(await aside()).toEqual(['new']);
  });

  it('do not complete an upload of whose parts the disk gives back something else', async () => {
    const upload = await blobs.parts.begin('acme/a');
    const part = await blobs.parts.put('acme/a', upload, { number: 1, size: 6 }, Buffer.from('abcdef'));
    const file = path.join(folder, 'uploads', upload, '1');
    const bytes = await fs.readFile(file);
    bytes[2]! ^= 1;
    await fs.writeFile(file, bytes);
    await expect(blobs.parts.complete('acme/a', upload, [part])).rejects.toMatchObject({ code: 'checksum_mismatch' });
    expect(await blobs.head('acme/a')).toBeNull();
    expect(await aside()).toEqual([]);
    const again = await blobs.parts.put('acme/a', upload, { number: 1, size: 6 }, Buffer.from('abcdef'));
    await blobs.parts.complete('acme/a', upload, [again]);
    expect(String(await blobs.get('acme/a'))).toBe('abcdef');
    expect(await fs.readdir(path.join(folder, 'uploads'))).toEqual([]);
  });

  it('leave nothing aside after a write that fails', async () => {
    await expect(blobs.put('acme/a', Readable.from((async function* () { yield 'x'; throw new Error('broken'); })()))).rejects.toThrow('broken');
    await blobs.put('acme/folder/a', Buffer.from('x'));
    await expect(blobs.put('acme/folder', Buffer.from('x'))).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(blobs.put('acme/folder/a/b', Buffer.from('x'))).rejects.toMatchObject({ code: 'invalid_request' });
    expect(await aside()).toEqual([]);
  });

  it('say what to do when a file is in the place of the folder', async () => {
    await fs.writeFile(path.join(root, 'file'), '');
    for (const place of ['file', 'file/below']) {
      await expect(openFilesystemBlobs({ folder: path.join(root, place) })).rejects.toMatchObject({
        code: 'blobs_unavailable', remedy: expect.stringContaining('SHEAF_HOME'),
      });
    }
  });

  // A file size limit is a full disk that every Unix has; Windows has none.
  it.runIf(process.platform !== 'win32' || process.env['SHEAF_REQUIRE_ALL'] === '1')('say what to do when the disk takes no more, and clean up', async () => {
    const program = `
      const { openFilesystemBlobs } = await import(process.argv[1]);
      const blobs = await openFilesystemBlobs({ folder: process.argv[2] });
      const error = await blobs.put('acme/big', Buffer.alloc(10_000_000)).catch((error) => error);
      console.log(JSON.stringify({ code: error.code, remedy: error.remedy }));`;
    const child = spawn('sh', ['-c', 'ulimit -f 100; exec "$0" "$@"', process.execPath, '--input-type=module', '--eval', program, MODULE, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
    expect(JSON.parse(await text(child.stdout))).toEqual({ code: 'blobs_unavailable', remedy: expect.stringContaining('ulimit') });
    expect(await aside()).toEqual([]);
    expect(await blobs.head('acme/big')).toBeNull();
  });
});
