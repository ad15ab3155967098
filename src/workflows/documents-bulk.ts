/**
 * Deletes old documents, or does many again: all that a filter finds, a page at a time, with a report. It outlives workers and
 * servers; what was done is not done twice, because the list goes on where it stopped.
 */
import { continueAsNew, defineQuery, proxyActivities, setHandler } from '@temporalio/workflow';
import { STATUS_QUERY, TASK_QUEUES } from '../contracts/messages.ts';
import type { MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import type { BulkInput, BulkReport } from '../contracts/document-messages.ts';
import { REMOVE } from './activity-options.ts';
import { historyIsFull } from './history.ts';

const { bulkPage } = proxyActivities<MaintenanceActivities>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export const bulkReportQuery = defineQuery<BulkReport>(STATUS_QUERY);

/** Ids that a report names. */
const MOST_NAMED = 100;

async function bulk(input: BulkInput): Promise<BulkReport> {
  const { tenant, filter, dryRun, reprocess, carried } = input;
  let report: BulkReport = carried?.report ?? { found: 0, taken: 0, bytes: 0, refused: {}, documents: [], done: false };
  let cursor = carried?.cursor ?? null;
  setHandler(bulkReportQuery, () => report);
  do {
    const page = await bulkPage({ tenant, filter, dryRun, reprocess, cursor });
    report = added(report, page.report);
    cursor = page.cursor;
    if (cursor !== null && historyIsFull()) {
      await continueAsNew<typeof bulk>({ ...input, carried: { cursor, report } });
    }
  } while (cursor !== null);
  report = { ...report, done: true };
  return report;
}

function added(one: BulkReport, two: Omit<BulkReport, 'done'>): BulkReport {
  const refused = { ...one.refused };
  for (const [code, count] of Object.entries(two.refused)) refused[code] = (refused[code] ?? 0) + count;
  return {
    found: one.found + two.found, taken: one.taken + two.taken, bytes: one.bytes + two.bytes, refused,
    documents: [...one.documents, ...two.documents].slice(0, MOST_NAMED), done: false,
  };
}

/** By age, tag and state. */
export const cleanup_old_documents = (input: BulkInput): Promise<BulkReport> => bulk(input);
/** From a stage on, perhaps with other options. */
export const reprocess_documents = (input: BulkInput): Promise<BulkReport> => bulk(input);
