import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import { Arriving } from '../../src/uploads/arriving.ts';

const refusal = new SheafError('body_too_large', 'too much');
const tooLarge = (): SheafError => refusal;
const chunksOf = (content: Buffer, size: number): Buffer[] => Array.from({ length: Math.ceil(content.length / size) }, (_, n) => content.subarray(n * size, (n + 1) * size));

describe('bytes that arrive', () => {
  it('pass as they are, counted and hashed, and are looked at before any of them does, however they are cut', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 120 }), async (bytes, cut, look) => {
      const content = Buffer.from(bytes);
      const looked: Buffer[] = [];
      const arriving = new Arriving({ algorithm: 'sha256', maxBytes: 300, tooLarge, look: { bytes: look, at: (head) => void looked.push(Buffer.from(head)) } });
      expect(await buffer(Readable.from(chunksOf(content, cut)).pipe(arriving))).toEqual(content);
      expect(looked).toEqual([content.subarray(0, look)]);
      expect([arriving.size, arriving.digest]).toEqual([content.length, createHash('sha256').update(content).digest('hex')]);
    }));
  });

  it.each<[string, Partial<ConstructorParameters<typeof Arriving>[0]>]>([
    ['more than is allowed', { maxBytes: 99 }],
    ['no document by their beginning', { look: { bytes: 10, at: () => { throw refusal; } } }],
    ['other than was announced', { atEnd: () => { throw refusal; } }],
  ])('that are %s are refused, whether somebody reads already or only later', async (_what, over) => {
    const arriving = (): Arriving => Readable.from(chunksOf(Buffer.alloc(100), 7)).pipe(new Arriving({ algorithm: 'md5', maxBytes: 100, tooLarge, ...over }));
    await expect(buffer(arriving())).rejects.toBe(refusal);
    const late = arriving();
    while (late.refusal === undefined) await turn();
    await expect(buffer(late)).rejects.toBe(refusal);
  });
});
