/** A page of what is done to many documents: each through the same door as one that a user asks for. */
import { heartbeat } from '@temporalio/activity';
import { SheafError } from '../contracts/errors.ts';
import type { MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import type { BulkPageAnswer, BulkPageInput } from '../contracts/document-messages.ts';
import type { Store } from '../store/store.ts';
import type { Documents } from '../temporal/documents.ts';

const PAGE = 100;

export function bulkActivities({ store, documents }: { store: Store; documents: Documents }): Pick<MaintenanceActivities, 'bulkPage'> {
  return {
    async bulkPage({ tenant, filter, dryRun, reprocess, cursor }: BulkPageInput): Promise<BulkPageAnswer> {
      const page = await store.listDocuments(tenant, filter, { limit: PAGE, ...(cursor !== null && { cursor }) });
      const report: BulkPageAnswer['report'] = { found: page.items.length, taken: 0, bytes: 0, refused: {}, documents: [] };
      for (const { id, size } of page.items) {
        heartbeat();
        const code = dryRun ? null : await take(id);
        if (code !== null) {
          report.refused[code] = (report.refused[code] ?? 0) + 1;
          continue;
        }
        report.taken++;
        report.bytes += size;
        report.documents.push(id);
      }
      return { report, cursor: page.nextCursor };

      /** The code where the document is in no state for it: others go on. One that a killed try has taken already is taken. */
      async function take(id: string): Promise<string | null> {
        try {
          if (reprocess === null) await documents.remove(tenant, id);
          else await documents.reprocess(tenant, id, { ...reprocess, password: null });
          return null;
        } catch (error) {
          if (!(error instanceof SheafError) || error.retryable) throw error;
          return error.code;
        }
      }
    },
  };
}
