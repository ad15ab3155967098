/** What every store does with documents that arrive in parts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_DOCUMENT_OPTIONS } from '../../src/contracts/document.ts';
import type { UploadPart, UploadRecord } from '../../src/contracts/upload.ts';
import type { Store } from '../../src/store/store.ts';
import { walk } from './store-samples.ts';

export const anUpload = (id: string, over: Partial<UploadRecord> = {}): UploadRecord => ({
  tenant: 'acme', id, owner: 'ann', requestHash: null, document: `doc_${id}`, job: `job_${id}`, blob: `acme/documents/doc_${id}/original/1`, blobUpload: 'b',
  request: {
    fileName: 'שם.pdf', size: 25, sha256: null, contentType: 'application/pdf', declaredType: null, documentKey: null, options: DEFAULT_DOCUMENT_OPTIONS,
    priority: 'normal', tags: ['t'], force: false,
  },
  chunkSize: 10, totalParts: 3, state: 'open', parts: 0, bytes: 0, result: null, error: null,
  createdAt: '2026-11-01T10:00:00.000Z', expiresAt: '2026-11-02T10:00:00.000Z', ...over,
});

export const part = (number: number, md5 = `md5 of ${number}`, size = 10): UploadPart => ({ number, size, md5, checksum: `crc of ${md5}` });

/** Two stores open on the same place, as two processes have them. */
export function uploadsConformance(stores: () => { store: Store; other: Store }): void {
  describe('uploads', () => {
    it('are given back as they were written, to another instance and not to another tenant', async () => {
      const { store, other } = stores();
      expect(await store.createUpload(anUpload('u1'))).toEqual({ upload: anUpload('u1'), created: true });
      expect(await other.getUpload('acme', 'u1')).toEqual(anUpload('u1'));
      expect(await other.getUpload('globex', 'u1')).toBeNull();
      expect(await other.addUploadPart('globex', 'u1', part(1))).toBeNull();
      expect(await other.changeUpload('globex', 'u1', ['open'], { state: 'failed' })).toBeNull();
      await other.removeUpload('globex', 'u1');
      await other.dropUploadParts('globex', 'u1', [part(1)]);
      expect(await store.getUpload('acme', 'u1')).toEqual(anUpload('u1'));
    });

    it('are created once, whoever repeats it, also at the same time', async () => {
      const { store, other } = stores();
      const answers = await Promise.all([store, other, store, other].map((one, n) => one.createUpload(anUpload('u1', { blobUpload: `b${n}` }))));
      expect(answers.filter(({ created }) => created)).toHaveLength(1);
      expect(new Set(answers.map(({ upload }) => upload.blobUpload)).size).toBe(1);
    });

    it('take each part once: the first to be written down counts', async () => {
      const { store, other } = stores();
      await store.createUpload(anUpload('u1'));
      expect(await store.addUploadPart('acme', 'u1', part(2))).toMatchObject({ part: part(2), upload: { parts: 1, bytes: 10 } });
      expect(await other.addUploadPart('acme', 'u1', part(2, 'another'))).toMatchObject({ part: part(2), upload: { parts: 1, bytes: 10 } });
      expect(await other.addUploadPart('acme', 'u1', part(3, 'last', 5))).toMatchObject({ upload: { parts: 2, bytes: 15 } });
      expect(await store.uploadParts('acme', 'u1')).toEqual([part(2), part(3, 'last', 5)]);
      expect(await store.getUploadPart('acme', 'u1', 2)).toEqual(part(2));
      expect(await store.getUploadPart('acme', 'u1', 1)).toBeNull();
      expect(await store.addUploadPart('acme', 'u2', part(1))).toBeNull();
    });

    it('forget exactly the parts that they are told to', async () => {
      const { store, other } = stores();
      await store.createUpload(anUpload('u1'));
      for (const one of [part(1), part(2), part(3, 'last', 5)]) await store.addUploadPart('acme', 'u1', one);
      await other.dropUploadParts('acme', 'u1', [part(1), part(2, 'another'), part(9)]);
      expect(await store.uploadParts('acme', 'u1')).toEqual([part(2), part(3, 'last', 5)]);
      expect(await store.getUpload('acme', 'u1')).toMatchObject({ parts: 2, bytes: 15 });
      expect(await store.addUploadPart('acme', 'u1', part(1, 'another'))).toMatchObject({ part: part(1, 'another'), upload: { parts: 3 } });
    });

    it('change only from a state that is expected, and take no more parts then', async () => {
      const { store, other } = stores();
      await store.createUpload(anUpload('u1'));
      await store.addUploadPart('acme', 'u1', part(1));
      const changed = await store.changeUpload('acme', 'u1', ['open'], { state: 'completing', expiresAt: '2026-11-03T10:00:00.000Z' });
      expect(changed).toEqual(anUpload('u1', { state: 'completing', parts: 1, bytes: 10, expiresAt: '2026-11-03T10:00:00.000Z' }));
      expect(await other.getUpload('acme', 'u1')).toEqual(changed);
      expect(await other.changeUpload('acme', 'u1', ['open'], { state: 'failed' })).toBeNull();
      expect(await other.addUploadPart('acme', 'u1', part(2))).toBeNull();
      const error = { code: 'checksum_mismatch', message: 'm' };
      expect(await other.changeUpload('acme', 'u1', ['open', 'completing'], { state: 'failed', error })).toMatchObject({ state: 'failed', error });
      expect(await store.changeUpload('acme', 'u2', ['open'], { state: 'failed' })).toBeNull();
    });

    it('go from one state to another for one of those who ask at once', async () => {
      const { store, other } = stores();
      await store.createUpload(anUpload('u1'));
      const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => (n % 2 ? store : other).changeUpload('acme', 'u1', ['open'], { state: 'completing', result: String(n) })));
      expect(answers.filter((answer) => answer !== null)).toHaveLength(1);
    });

    it('are listed while they can go on, newest first, by owner, whatever the page size', async () => {
      const { store } = stores();
      for (const [n, hour] of ['10', '09', '11', '10'].entries()) await store.createUpload(anUpload(`u${n}`, { createdAt: `2026-11-01T${hour}:00:00.000Z`, owner: n === 3 ? 'bob' : 'ann' }));
      await store.createUpload(anUpload('done', { state: 'completed' }));
      await store.createUpload(anUpload('dead', { state: 'failed' }));
      await store.createUpload(anUpload('elsewhere', { tenant: 'globex' }));
      await store.changeUpload('acme', 'u1', ['open'], { state: 'completing' });
      for (const limit of [1, 2, 10]) {
        expect((await walk((page) => store.listUploads('acme', { owner: 'ann' }, page), limit)).map(({ id }) => id)).toEqual(['u2', 'u0', 'u1']);
        expect((await walk((page) => store.listUploads('acme', {}, page), limit)).map(({ id }) => id)).toEqual(['u2', 'u3', 'u0', 'u1']);
      }
      expect(await store.uploadUsage('acme')).toBe(100);
      expect(await store.uploadUsage('initech')).toBe(0);
      await expect(store.listUploads('acme', {}, { limit: 1, cursor: 'x' })).rejects.toMatchObject({ code: 'invalid_cursor' });
    });

    it('are found when they expire, of every tenant and in every state, and are gone with their parts once removed', async () => {
      const { store, other } = stores();
      for (const [n, state] of (['open', 'completing', 'completed', 'failed'] as const).entries()) {
        await store.createUpload(anUpload(`u${n}`, { state, tenant: n === 2 ? 'globex' : 'acme', expiresAt: `2026-11-0${n + 1}T10:00:00.000Z` }));
      }
      const expired = async (before: string): Promise<string[]> => (await walk((page) => other.expiredUploads(before, page), 1)).map(({ tenant, id }) => `${tenant}/${id}`);
      expect(await expired('2026-11-01T10:00:00.000Z')).toEqual([]);
      expect(await expired('2026-11-04T00:00:00.000Z')).toEqual(['acme/u0', 'acme/u1', 'globex/u2']);
      await store.addUploadPart('acme', 'u0', part(1));
      for (let again = 0; again < 2; again++) await store.removeUpload('acme', 'u0');
      expect(await other.getUpload('acme', 'u0')).toBeNull();
      expect(await other.uploadParts('acme', 'u0')).toEqual([]);
      await store.createUpload(anUpload('u0'));
      expect(await other.uploadParts('acme', 'u0')).toEqual([]);
    });

    it('keep parts and counts in agreement, whatever many writers do in whatever order', async () => {
      const { store, other } = stores();
      let run = 0;
      const step = fc.record({ other: fc.boolean(), number: fc.integer({ min: 1, max: 6 }), md5: fc.constantFrom('a', 'b'), drop: fc.boolean() });
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const id = `p${++run}`;
        await store.createUpload(anUpload(id));
        await Promise.all(steps.map((one) => (one.drop
          ? (one.other ? other : store).dropUploadParts('acme', id, [part(one.number, one.md5, one.number)])
          : (one.other ? other : store).addUploadPart('acme', id, part(one.number, one.md5, one.number)))));
        const parts = await store.uploadParts('acme', id);
        expect(parts.map(({ number }) => number)).toEqual([...new Set(parts.map(({ number }) => number))].sort((a, b) => a - b));
        expect(await other.getUpload('acme', id)).toMatchObject({ parts: parts.length, bytes: parts.reduce((sum, { size }) => sum + size, 0) });
        if (!steps.some(({ drop }) => drop)) expect(new Set(parts.map(({ number }) => number))).toEqual(new Set(steps.map(({ number }) => number)));
      }), { numRuns: 15 });
    });
  });
}
