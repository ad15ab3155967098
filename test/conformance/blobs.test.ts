import { afterEach, beforeEach, describe } from 'vitest';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { blobsConformance } from './blobs.ts';
import { blobsAdapters } from './blobs-adapters.ts';

describe.each(Object.entries(blobsAdapters))('blobs: %s', (name, adapter) => {
  let place: string;
  let blobs: Blobs;
  let other: Blobs;

  beforeEach(async () => {
    place = await adapter.makePlace();
    [blobs, other] = await Promise.all([adapter.open(place), adapter.open(place)]);
  });
  afterEach(() => adapter.removePlace(place));

  blobsConformance(name, () => ({ blobs, other, place }));
});
