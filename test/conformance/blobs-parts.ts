/** What every blob store does with objects that arrive in parts. */
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { BlobPart, Blobs, BlobUpload } from '../../src/blobs/blobs.ts';

const LEAST = 5 * 2 ** 20;
const KEY = 'acme/documents/1/content';

const checksumOf = (bytes: Buffer): string => crc32(bytes).toString(16).padStart(8, '0');
const content = (value: number, size = LEAST): Buffer => Buffer.alloc(size, value);

/** Two blob stores open on the same place, as two processes have them. */
export function blobPartsConformance(stores: () => { blobs: Blobs; other: Blobs }): void {
  const put = (blobs: Blobs, upload: string, number: number, bytes: Buffer): Promise<BlobPart> =>
    blobs.parts.put(KEY, upload, { number, size: bytes.length, checksum: checksumOf(bytes) }, bytes);
  const begun = async (blobs: Blobs, time = new Date(Date.now() + 3_600_000)): Promise<BlobUpload[]> => {
    const all: BlobUpload[] = [];
    for await (const upload of blobs.parts.begunBefore(time)) all.push(upload);
    return all;
  };

  describe('parts', () => {
    it('in any order, from any instance, become the object when they are completed, and no sooner', async () => {
      const { blobs, other } = stores();
      const upload = await blobs.parts.begin(KEY);
      const [first, second, third] = [content(1), content(2, LEAST + 1), content(3, 10)];
      const part3 = await put(other, upload, 3, third);
      const part1 = await blobs.parts.put(KEY, upload, { number: 1, size: LEAST }, Readable.from([first.subarray(0, 1_000), first.subarray(1_000)]));
      const part2 = await put(other, upload, 2, second);
      expect(part1).toEqual({ number: 1, size: LEAST, checksum: checksumOf(first) });
      expect(await blobs.head(KEY)).toBeNull();
      expect(await other.parts.list(KEY, upload)).toEqual([part1, part2, part3]);

      expect(await other.parts.complete(KEY, upload, [part1, part2, part3])).toEqual({ size: 2 * LEAST + 11 });
      expect((await blobs.get(KEY)).equals(Buffer.concat([first, second, third]))).toBe(true);
      await expect(blobs.parts.list(KEY, upload)).rejects.toMatchObject({ code: 'upload_not_found' });
      expect(await begun(blobs)).toEqual([]);
    });

    it('that are larger than what is held in memory are streamed, whole and checked', async () => {
      const { blobs } = stores();
      const upload = await blobs.parts.begin(KEY);
      const bytes = Buffer.concat(Array.from({ length: 20 }, (_, n) => content(n, 2 ** 20)));
      const chunks = (): Readable => Readable.from(Array.from({ length: 20 }, (_, n) => bytes.subarray(n * 2 ** 20, (n + 1) * 2 ** 20)));
      const size = bytes.length;
      const part = await blobs.parts.put(KEY, upload, { number: 1, size }, chunks());
      expect(part).toEqual({ number: 1, size, checksum: checksumOf(bytes) });
      await expect(blobs.parts.put(KEY, upload, { number: 2, size, checksum: '00000000' }, chunks())).rejects.toMatchObject({ code: 'checksum_mismatch' });
      await expect(blobs.parts.put(KEY, upload, { number: 2, size: size + 1 }, chunks())).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(blobs.parts.put(KEY, upload, { number: 2, size: size - 1 }, chunks())).rejects.toMatchObject({ code: 'invalid_request' });
      expect(await blobs.parts.list(KEY, upload)).toEqual([part]);
      await blobs.parts.complete(KEY, upload, [part]);
      expect((await blobs.get(KEY)).equals(bytes)).toBe(true);
    });

    it('are replaced by a part with the same number', async () => {
      const { blobs } = stores();
      const upload = await blobs.parts.begin(KEY);
      await put(blobs, upload, 1, content(1));
      const again = await put(blobs, upload, 1, content(2, 7));
      expect(await blobs.parts.list(KEY, upload)).toEqual([again]);
      await blobs.parts.complete(KEY, upload, [again]);
      expect(await blobs.get(KEY)).toEqual(content(2, 7));
    });

    it('with another size or checksum than was said, or broken off, leave what was there', async () => {
      const { blobs } = stores();
      const upload = await blobs.parts.begin(KEY);
      const kept = await put(blobs, upload, 1, content(1, 10));
      const send = (part: { number: number; size: number; checksum?: string }, bytes: Buffer | Readable, signal?: AbortSignal): Promise<BlobPart> =>
        blobs.parts.put(KEY, upload, part, bytes, signal && { signal });
      await expect(send({ number: 1, size: 10, checksum: checksumOf(content(1, 10)) }, content(2, 10))).rejects.toMatchObject({ code: 'checksum_mismatch' });
      for (const size of [9, 11]) await expect(send({ number: 1, size }, content(2, 10))).rejects.toMatchObject({ code: 'invalid_request' });
      for (const number of [0, 1.5, 10_001]) await expect(send({ number, size: 1 }, content(2, 1))).rejects.toMatchObject({ code: 'invalid_request' });
      const failing = Readable.from((async function* () { yield content(2, 5); throw new Error('the client went away'); })());
      await expect(send({ number: 1, size: 10 }, failing)).rejects.toThrow('the client went away');
      for (const size of [10, 20 * 2 ** 20]) {
        const reason = new Error('no longer wanted');
        const aborting = new AbortController();
        const stalled = new PassThrough();
        stalled.write(content(2, 5));
        const sending = send({ number: 1, size }, stalled, aborting.signal);
        setImmediate(() => aborting.abort(reason));
        await expect(sending).rejects.toBe(reason);
        expect(stalled.destroyed).toBe(true);
      }
      expect(await blobs.parts.list(KEY, upload)).toEqual([kept]);
    });

    it('that are missing or different are named when they are completed, and can be sent again', async () => {
      const { blobs } = stores();
      const upload = await blobs.parts.begin(KEY);
      const part1 = await put(blobs, upload, 1, content(1));
      const part2 = await put(blobs, upload, 2, content(2, 10));
      const extra = await put(blobs, upload, 9, content(9, 10));
      const failure = await blobs.parts.complete(KEY, upload, [part1, { ...part1, number: 2 }, { ...part2, number: 4 }]).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'parts_mismatch', message: expect.stringMatching(/2 has 10 bytes.*4 is missing/), remedy: expect.any(String) });
      await expect(blobs.parts.complete(KEY, upload, [part1, { ...part2, checksum: '00000000' }])).rejects.toMatchObject({
        code: 'parts_mismatch', message: expect.stringContaining('2 has another checksum'),
      });
      await expect(blobs.parts.complete(KEY, upload, [part2, part1])).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(blobs.parts.complete(KEY, upload, [])).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(blobs.parts.complete(KEY, upload, [part2, extra])).rejects.toMatchObject({ code: 'invalid_request', message: expect.stringContaining(String(LEAST)) });
      expect(await blobs.head(KEY)).toBeNull();
      await blobs.parts.complete(KEY, upload, [part1, part2]);
      expect(await blobs.head(KEY)).toEqual({ key: KEY, size: LEAST + 10 });
    });

    it('can be completed again when the answer was lost', async () => {
      const { blobs, other } = stores();
      const upload = await blobs.parts.begin(KEY);
      const part = await put(blobs, upload, 1, content(1, 10));
      expect(await blobs.parts.complete(KEY, upload, [part])).toEqual({ size: 10 });
      expect(await other.parts.complete(KEY, upload, [part])).toEqual({ size: 10 });
      await blobs.delete(KEY);
      await expect(other.parts.complete(KEY, upload, [part])).rejects.toMatchObject({ code: 'upload_not_found' });
    });

    it('are gone when they are aborted, again without complaint', async () => {
      const { blobs, other } = stores();
      const upload = await blobs.parts.begin(KEY);
      const part = await put(blobs, upload, 1, content(1, 10));
      await other.parts.abort(KEY, upload);
      await blobs.parts.abort(KEY, upload);
      await expect(blobs.parts.list(KEY, upload)).rejects.toMatchObject({ code: 'upload_not_found' });
      await expect(put(blobs, upload, 1, content(1, 10))).rejects.toMatchObject({ code: 'upload_not_found' });
      await expect(blobs.parts.complete(KEY, upload, [part])).rejects.toMatchObject({ code: 'upload_not_found' });
      expect(await blobs.head(KEY)).toBeNull();
    });

    it("of another key's upload, and of names that lead elsewhere, are not there", async () => {
      const { blobs } = stores();
      const upload = await blobs.parts.begin(KEY);
      const part = await put(blobs, upload, 1, content(1, 10));
      for (const [key, id] of [['globex/documents/1/content', upload], [KEY, '../objects'], [KEY, 'none'], [KEY, '00000000-0000-0000-0000-000000000000']] as const) {
        await expect(blobs.parts.put(key, id, { number: 1, size: 1 }, content(2, 1)), id).rejects.toMatchObject({ code: 'upload_not_found' });
        await expect(blobs.parts.list(key, id)).rejects.toMatchObject({ code: 'upload_not_found' });
        await expect(blobs.parts.complete(key, id, [part])).rejects.toMatchObject({ code: 'upload_not_found' });
        await blobs.parts.abort(key, id);
      }
      await expect(blobs.parts.begin('acme/../globex')).rejects.toMatchObject({ code: 'invalid_request' });
      expect(await blobs.parts.list(KEY, upload)).toEqual([part]);
    });

    it('can be sent many at once', async () => {
      const { blobs, other } = stores();
      const upload = await blobs.parts.begin(KEY);
      const parts = await Promise.all(Array.from({ length: 8 }, (_, n) => put(n % 2 ? blobs : other, upload, n + 1, content(n, LEAST))));
      await blobs.parts.complete(KEY, upload, parts);
      expect((await buffer(await other.stream(KEY))).equals(Buffer.concat(parts.map((_, n) => content(n))))).toBe(true);
    });

    it('that were begun before a time are listed, of every tenant, and those after are not', async () => {
      const { blobs } = stores();
      const uploads = await Promise.all(['acme/a', 'acme/b', 'globex/a'].map(async (key) => ({ key, upload: await blobs.parts.begin(key) })));
      const found = await begun(blobs);
      expect(found.map(({ key, upload }) => ({ key, upload })).sort((left, right) => (left.key < right.key ? -1 : 1))).toEqual(uploads);
      expect(found.every(({ startedAt }) => Math.abs(startedAt.getTime() - Date.now()) < 600_000)).toBe(true);
      expect(await begun(blobs, new Date(Date.now() - 86_400_000))).toEqual([]);
      for (const { key, upload } of found) await blobs.parts.abort(key, upload);
      expect(await begun(blobs)).toEqual([]);
    });
  });
}
