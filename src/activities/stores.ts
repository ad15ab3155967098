import type { RowActivities } from '../contracts/sheet-messages.ts';
import type { ActivityDeps } from './deps.ts';

export function storesActivities({ store, blobs }: ActivityDeps): Pick<RowActivities, 'checkStores'> {
  return {
    async checkStores() {
      await Promise.all([store.check(), blobs.check()]);
    },
  };
}
