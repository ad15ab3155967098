import { afterAll, afterEach, beforeEach, describe } from 'vitest';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { orMissing } from '../servers/missing.ts';
import { blobsConformance } from './blobs.ts';
import { blobsAdapters } from './blobs-adapters.ts';
import { blobPartsConformance } from './blobs-parts.ts';

for (const [name, adapter] of Object.entries(blobsAdapters)) {
  const stand = await orMissing(`the blobs adapter ${name}`, adapter.start());

  describe.skipIf(stand === null)(`blobs: ${name}`, () => {
    let place: string;
    let blobs: Blobs;
    let other: Blobs;

    beforeEach(async () => {
      place = await stand!.makePlace();
      [blobs, other] = await Promise.all([adapter.open(place), adapter.open(place)]);
    });
    afterEach(() => stand!.removePlace(place));
    afterAll(() => stand?.stop());

    blobsConformance(name, () => ({ blobs, other, place }));
    blobPartsConformance(() => ({ blobs, other }));
  });
}
