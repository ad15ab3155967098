/** What every blob store does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BlobInfo, Blobs } from '../../src/blobs/blobs.ts';

const CHILD = path.join(import.meta.dirname, 'blobs-child.ts');

/** Two blob stores open on the same place, as two processes have them. */
export function blobsConformance(adapter: string, stores: () => { blobs: Blobs; other: Blobs; place: string }): void {
  const allUnder = async (blobs: Blobs, prefix: string): Promise<BlobInfo[]> => {
    const all: BlobInfo[] = [];
    for await (const info of blobs.list(prefix)) all.push(info);
    return all;
  };
  const keysUnder = async (blobs: Blobs, prefix: string): Promise<string[]> => (await allUnder(blobs, prefix)).map(({ key }) => key);
  const byBytes = (keys: string[]): string[] => [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));

  describe('objects', () => {
    it('come back byte for byte, from bytes and from streams, to every instance', async () => {
      const { blobs, other } = stores();
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
      expect(await blobs.put('acme/a', bytes)).toEqual({ size: 256 });
      expect(await blobs.put('acme/b', Readable.from([bytes, bytes]))).toEqual({ size: 512 });
      expect(await blobs.put('acme/empty', new Uint8Array())).toEqual({ size: 0 });
      expect(await blobs.put('acme/none', Readable.from([]))).toEqual({ size: 0 });
      expect(await other.get('acme/a')).toEqual(bytes);
      expect(await buffer(await other.stream('acme/b'))).toEqual(Buffer.concat([bytes, bytes]));
      expect(await other.get('acme/empty')).toHaveLength(0);
      expect(await buffer(await other.stream('acme/none'))).toHaveLength(0);
      expect(await other.head('acme/b')).toEqual({ key: 'acme/b', size: 512 });
    });

    it('are replaced as a whole', async () => {
      const { blobs } = stores();
      await blobs.put('acme/a', Buffer.alloc(100_000, 1));
      const reading = await blobs.stream('acme/a');
      await blobs.put('acme/a', Buffer.from('short'));
      expect(await buffer(reading)).toEqual(Buffer.alloc(100_000, 1));
      expect(String(await blobs.get('acme/a'))).toBe('short');
    });

    it('answer ranges as slices do', async () => {
      const { blobs } = stores();
      const bytes = Buffer.from('0123456789');
      await blobs.put('acme/a', bytes);
      await fc.assert(fc.asyncProperty(fc.nat(14), fc.option(fc.nat(14), { nil: undefined }), async (start, end) => {
        const range = end === undefined ? { start } : { start, end };
        expect(String(await buffer(await blobs.stream('acme/a', range)))).toBe(String(bytes.subarray(start, end)));
      }), { numRuns: 60 });
    });

    it('say that they are missing before the first byte', async () => {
      const { blobs } = stores();
      await blobs.put('acme/folder/a', Buffer.from('x'));
      for (const key of ['acme/absent', 'acme/folder', 'acme', 'globex/folder/a', 'acme/folder/a/b']) {
        await expect(blobs.get(key)).rejects.toMatchObject({ code: 'blob_not_found' });
        await expect(blobs.stream(key)).rejects.toMatchObject({ code: 'blob_not_found' });
        await expect(blobs.stream(key, { start: 0, end: 0 })).rejects.toMatchObject({ code: 'blob_not_found' });
        expect(await blobs.head(key)).toBeNull();
      }
    });

    it('pass through, however large, without being held in memory', async () => {
      const { blobs, place } = stores();
      const child = spawn(process.execPath, [CHILD, adapter, place, 'large'], { stdio: ['ignore', 'pipe', 'inherit'] });
      const { grownMiB } = JSON.parse(String(await buffer(child.stdout))) as { grownMiB: number };
      expect(await blobs.head('acme/large')).toEqual({ key: 'acme/large', size: 400 * 2 ** 20 });
      expect(grownMiB).toBeLessThan(200);
    });
  });

  describe('a write that does not end well', () => {
    it('leaves nothing, or what was there before, when its stream fails', async () => {
      const { blobs } = stores();
      await blobs.put('acme/kept', Buffer.from('before'));
      for (const key of ['acme/new', 'acme/kept']) {
        const failing = Readable.from((async function* () {
          yield Buffer.alloc(100_000);
          throw new Error('the client went away');
        })());
        await expect(blobs.put(key, failing)).rejects.toThrow('the client went away');
      }
      expect(await keysUnder(blobs, 'acme/')).toEqual(['acme/kept']);
      expect(String(await blobs.get('acme/kept'))).toBe('before');
    });

    it('leaves nothing when it is aborted, before and in the middle', async () => {
      const { blobs } = stores();
      const reason = new Error('no longer wanted');
      await expect(blobs.put('acme/a', Buffer.from('x'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const source = new PassThrough();
      const aborting = new AbortController();
      const put = blobs.put('acme/b', source, { signal: aborting.signal });
      source.write(Buffer.alloc(10_000));
      source.once('drain', () => aborting.abort(reason));
      source.write(Buffer.alloc(100_000));
      await expect(put).rejects.toBe(reason);
      expect(source.destroyed).toBe(true);
      expect(await keysUnder(blobs, '')).toEqual([]);
    });

    it('leaves no parts either, when it is large and fails or is aborted', async () => {
      const { blobs } = stores();
      const reason = new Error('it is over');
      for (const end of ['fails', 'is aborted']) {
        const aborting = new AbortController();
        const source = new PassThrough();
        const put = blobs.put('acme/large', source, { signal: aborting.signal });
        put.catch(() => {});
        for (let n = 0; n < 24; n++) if (!source.write(Buffer.alloc(2 ** 20, n))) await once(source, 'drain');
        if (end === 'fails') source.destroy(reason);
        else aborting.abort(reason);
        await expect(put).rejects.toBe(reason);
      }
      expect(await keysUnder(blobs, '')).toEqual([]);
      for await (const upload of blobs.parts.begunBefore(new Date(Date.now() + 3_600_000))) expect.unreachable(upload.key);
    });

    it('keeps what is there when only an absent object was to be made, also of several at once', async () => {
      const { blobs, other } = stores();
      const puts = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => (n % 2 ? blobs : other).put('acme/once', Buffer.from(`${n}`), { ifAbsent: true })));
      const won = puts.flatMap(({ status }, n) => (status === 'fulfilled' ? [n] : []));
      expect(won).toHaveLength(1);
      const reasons = puts.flatMap((put) => (put.status === 'rejected' ? [put.reason as unknown] : []));
      expect(reasons).toEqual(Array(7).fill(expect.objectContaining({ code: 'conflict' })));
      expect(String(await blobs.get('acme/once'))).toBe(String(won[0]));
    });

    it('leaves whole objects only when the process is killed', async () => {
      const { blobs, place } = stores();
      const child = spawn(process.execPath, [CHILD, adapter, place, 'many'], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        let last = -1;
        while (last < 15) last = Number((await lines.next()).value);
        child.kill('SIGKILL');
        for (let line = await lines.next(); !line.done; line = await lines.next()) last = Number(line.value);
        const found = await allUnder(blobs, 'acme/written/');
        expect(found.length).toBeGreaterThanOrEqual(last + 1);
        for (const { key, size } of found) {
          expect(size).toBe(200_000);
          expect(await blobs.get(key)).toEqual(Buffer.alloc(200_000, Number(key.split('/').at(-1)) % 256));
        }
      } finally {
        child.kill('SIGKILL');
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      }
    });
  });

  describe('keys', () => {
    const segment = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), fc.constantFrom('CON', 'nul.txt', 'a.', 'a b', '...', '%41', 'a%2Fb', 'שלום', 'é', 'e\u0301', ':*?"<>|', '~', '-'),
    ).filter((text) => !/[/\\\0]/.test(text) && text !== '.' && text !== '..');

    it('may hold nearly anything and stay apart', async () => {
      const { blobs } = stores();
      let run = 0;
      await fc.assert(fc.asyncProperty(fc.uniqueArray(segment, { minLength: 1, maxLength: 6 }), async (segments) => {
        const tenant = `t${run++}`;
        // In a folder each, so that no key is the folder of another; case apart, which some file systems ignore.
        const keys = [...new Map(segments.map((text) => [text.toLowerCase(), `${tenant}/${text}/${text}`])).values()];
        for (const key of keys) await blobs.put(key, Buffer.from(key));
        for (const key of keys) expect(String(await blobs.get(key))).toBe(key);
        expect(await keysUnder(blobs, `${tenant}/`)).toEqual(byBytes(keys));
        await blobs.deleteUnder(`${tenant}/`);
        expect(await keysUnder(blobs, `${tenant}/`)).toEqual([]);
      }), { numRuns: 40 });
    });

    it('keep tenants apart that differ in case alone', async () => {
      const { blobs } = stores();
      await blobs.put('acme/a', Buffer.from('small'));
      await blobs.put('Acme/a', Buffer.from('capital'));
      expect([String(await blobs.get('acme/a')), String(await blobs.get('Acme/a'))]).toEqual(['small', 'capital']);
      expect(await keysUnder(blobs, 'Acme/')).toEqual(['Acme/a']);
    });

    it('that lead elsewhere, or are none, are refused by every method', async () => {
      const { blobs } = stores();
      for (const key of ['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/../b', 'a/./b', '../../etc/passwd', 'a\\b', 'a\0b', 'a/\u0001', 'a/\n', 'a/\ud800', `a/${'x'.repeat(2_000)}`]) {
        for (const call of [
          () => blobs.put(key, Buffer.from('x')), () => blobs.get(key), () => blobs.stream(key), () => blobs.head(key), () => blobs.delete(key),
          () => blobs.deleteUnder(`${key}/`),
        ]) await expect(call(), JSON.stringify(key)).rejects.toMatchObject({ code: 'invalid_request' });
      }
      await expect(blobs.deleteUnder('acme')).rejects.toMatchObject({ code: 'invalid_request' });
    });
  });

  describe('lists and deletion', () => {
    it('list in key order with sizes, under any prefix', async () => {
      const { blobs, other } = stores();
      const keys = ['a/b', 'a/b-c', 'a/b.txt', 'a/bb/c', 'a/b0', 'a/c/d/e', 'a/c/d-e', 'ab/c', 'b/ÿ', 'b/😀', 'b/\uffee'];
      for (const key of keys) await blobs.put(key, Buffer.alloc(key.length));
      for (const prefix of ['', 'a', 'a/', 'a/b', 'a/bb', 'a/c/d', 'a/c/d/', 'b/', 'z', 'a/c/d/e/f']) {
        const found = await allUnder(other, prefix);
        expect(found, prefix).toEqual(byBytes(keys.filter((key) => key.startsWith(prefix))).map((key) => ({ key, size: key.length })));
      }
    });

    it('name the tenants of whom something is kept', async () => {
      const { blobs, other } = stores();
      for (const key of ['acme/a', 'acme/b/c', 'Acme/a', 'דנה/a', '-/identity']) await blobs.put(key, Buffer.from('x'));
      expect((await other.tenants()).toSorted()).toEqual(['-', 'Acme', 'acme', 'דנה']);
      await blobs.deleteUnder('acme/');
      await blobs.delete('דנה/a');
      expect((await other.tenants()).toSorted()).toEqual(['-', 'Acme']);
    });

    it('delete one object, again without complaint, and nothing beside it', async () => {
      const { blobs } = stores();
      for (const key of ['a/b/c', 'a/b/d', 'a/bc']) await blobs.put(key, Buffer.from('x'));
      await blobs.delete('a/b/c');
      await blobs.delete('a/b/c');
      await blobs.delete('a/b');
      await blobs.delete('z/absent');
      expect(await keysUnder(blobs, '')).toEqual(['a/b/d', 'a/bc']);
    });

    it('delete all under a prefix, again without complaint, and nothing beside it', async () => {
      const { blobs } = stores();
      for (const key of ['a/jobs/1/x', 'a/jobs/1/y/z', 'a/jobs/10/x', 'a/jobs/1.txt', 'b/jobs/1/x']) await blobs.put(key, Buffer.from('x'));
      await blobs.deleteUnder('a/jobs/1/');
      await blobs.deleteUnder('a/jobs/1/');
      expect(await keysUnder(blobs, '')).toEqual(['a/jobs/1.txt', 'a/jobs/10/x', 'b/jobs/1/x']);
      await blobs.deleteUnder('a/');
      expect(await keysUnder(blobs, '')).toEqual(['b/jobs/1/x']);
    });

    it('list and delete more than a thousand', async () => {
      const { blobs, other } = stores();
      const keys = Array.from({ length: 1_100 }, (_, n) => `a/many/${String(n).padStart(5, '0')}`);
      for (let from = 0; from < keys.length; from += 50) await Promise.all(keys.slice(from, from + 50).map((key) => blobs.put(key, Buffer.from('x'))));
      await blobs.put('a/other', Buffer.from('x'));
      expect(await keysUnder(other, 'a/many/')).toEqual(keys);
      await blobs.deleteUnder('a/many/');
      expect(await keysUnder(other, 'a/')).toEqual(['a/other']);
    });

    it('writes and deletes at once in the same folder do not disturb each other', async () => {
      const { blobs, other } = stores();
      await Promise.all(Array.from({ length: 60 }, async (_, n) => {
        await blobs.put(`a/b/${n}`, Buffer.from(`${n}`));
        if (n % 2) await other.delete(`a/b/${n}`);
      }));
      expect(await keysUnder(blobs, 'a/')).toEqual(byBytes(Array.from({ length: 30 }, (_, n) => `a/b/${2 * n}`)));
    });
  });

  it('says that it works, and leaves no trace of having looked', async () => {
    const { blobs } = stores();
    await blobs.check();
    expect(await keysUnder(blobs, '')).toEqual([]);
  });
}
