/** The suite that every adapter of the store port passes, unchanged. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import type { StoreAdapter } from './store-adapters.ts';
import { answersConformance } from './store-answers.ts';
import { budgetsConformance } from './store-budgets.ts';
import { cleanupConformance } from './store-cleanup.ts';
import { figuresConformance } from './store-figures.ts';
import { documentsConformance } from './store-documents.ts';
import { errorGroupsConformance } from './store-error-groups.ts';
import { intentsConformance } from './store-intents.ts';
import { jobsConformance } from './store-jobs.ts';
import { pagesConformance } from './store-pages.ts';
import { plansConformance } from './store-plans.ts';
import { processesConformance } from './store-processes.ts';
import { queueConformance } from './store-queue.ts';
import { rowsConformance } from './store-rows.ts';
import { searchConformance } from './store-search.ts';
import { deliveriesConformance } from './store-deliveries.ts';
import { sourcesConformance } from './store-sources.ts';
import { uploadsConformance } from './store-uploads.ts';

/** `name` is the adapter's in `store-adapters.ts`, which other processes look it up by. */
export function storeConformance(name: string, adapter: StoreAdapter): void {
  describe(`store: ${name}`, () => {
    let place: string;
    let store: Store;
    let other: Store;

    beforeEach(async () => {
      place = await adapter.makePlace();
      [store, other] = await Promise.all([adapter.open(place), adapter.open(place)]);
    });
    afterEach(async () => {
      await Promise.all([store.close(), other.close()]);
      await adapter.removePlace(place);
    });

    it('says that it works', async () => {
      await store.check();
      await expect(other.check()).resolves.toBeUndefined();
    });

    jobsConformance(() => ({ store, other }));
    queueConformance(() => ({ store, other }));
    rowsConformance(() => ({ store, other }));
    searchConformance(() => ({ store, other }));
    pagesConformance(() => ({ store, other }));
    figuresConformance(() => ({ store }));
    cleanupConformance(() => ({ store }));
    errorGroupsConformance(() => ({ store, other }));
    intentsConformance(() => ({ store, other }));
    plansConformance(() => ({ store, other }));
    deliveriesConformance(() => ({ store, other }));
    sourcesConformance(() => ({ store, other }));
    budgetsConformance(() => ({ store, other }));
    answersConformance(() => ({ store, other }));
    uploadsConformance(() => ({ store, other }));
    documentsConformance(() => ({ store, other }));
    processesConformance(name, () => ({ store, place }));
  });
}
