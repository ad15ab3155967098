import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutIntoParts, missingParts, partRuns, partSize } from '../../src/domain/upload-parts.ts';

const CHUNK = 8 * 2 ** 20;

describe('a file in parts', () => {
  it('is its parts, whatever its size: none is empty but the one of an empty file, and none is larger than the others but the last is smaller', () => {
    fc.assert(fc.property(fc.oneof(fc.nat(100), fc.nat(5 * CHUNK), fc.integer({ min: 0, max: 2 ** 44 })), fc.constantFrom(5 * 2 ** 20, CHUNK, 2 ** 30), (size, wanted) => {
      const cut = cutIntoParts(size, wanted);
      expect(cut.totalParts).toBeGreaterThanOrEqual(1);
      expect(cut.totalParts).toBeLessThanOrEqual(10_000);
      expect(cut.chunkSize).toBeGreaterThanOrEqual(wanted);
      const of = (number: number): number => partSize({ ...cut, request: { size } }, number);
      expect((cut.totalParts - 1) * cut.chunkSize + of(cut.totalParts)).toBe(size);
      expect(of(cut.totalParts)).toBeLessThanOrEqual(cut.chunkSize);
      expect(of(cut.totalParts)).toBeGreaterThanOrEqual(size === 0 ? 0 : 1);
      if (cut.totalParts > 1) expect(of(1)).toBe(cut.chunkSize);
    }));
  });

  it('keeps the size of parts that was asked for while they are few enough', () => {
    expect(cutIntoParts(5e9, CHUNK)).toEqual({ chunkSize: CHUNK, totalParts: 597 });
    expect(cutIntoParts(CHUNK, CHUNK).totalParts).toBe(1);
    expect(cutIntoParts(CHUNK + 1, CHUNK).totalParts).toBe(2);
    expect(cutIntoParts(100e9, CHUNK)).toEqual({ chunkSize: 10 * 2 ** 20, totalParts: 9_537 });
  });

  it('lacks exactly the parts that have not arrived, in runs that name each of them', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 60 }), fc.array(fc.integer({ min: 1, max: 60 })), (total, there) => {
      const missing = missingParts(total, there);
      for (let number = 1; number <= total; number++) expect(missing.includes(number)).toBe(!there.includes(number));
      const named = partRuns(missing).split(', ').filter(Boolean).flatMap((run) => {
        const [from, to = from] = run.split('–').map(Number);
        return Array.from({ length: to! - from! + 1 }, (_, n) => from! + n);
      });
      expect(named).toEqual(missing);
    }));
  });
});
