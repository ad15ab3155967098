/** As `record.ts`, of documents: one history for each way that a document's job can go. */
import { afterAll, afterEach, beforeAll, test } from 'vitest';
import type { DocumentRecord } from '../../src/contracts/document.ts';
import { SheafError } from '../../src/contracts/errors.ts';
import { isEnded } from '../../src/contracts/job.ts';
import { bulkWorkflowId, deleteWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, TENANT, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterEach(() => {
  rig.reader.reset();
  rig.scanner.scan = null;
});
afterAll(() => rig.close());

async function commit(name: string, workflowId: string): Promise<void> {
  const { client } = rig.env;
  await eventually(async () => (await client.workflow.getHandle(workflowId).describe()).status.name !== 'RUNNING');
  await commitHistory(name, (await historiesOf(client, workflowId)).at(-1)!.history);
}
const ended = (document: DocumentRecord) => rig.whenDocument(document.id, ({ state }) => isEnded(state));

test('completed, done again, deleted with others', async () => {
  const document = await rig.upload('complete.txt', 'complete');
  await ended(document);
  await commit('document-completed', jobWorkflowId(document.job, 1));
  await rig.documents.reprocess(TENANT, document.id, { from: 'chunking', options: null, password: null });
  await rig.whenDocument(document.id, ({ state, attempt }) => attempt === 2 && isEnded(state));
  await commit('document-reprocessed', jobWorkflowId(document.job, 2));
  const bulk = await rig.documents.bulk(TENANT, { filter: {}, dryRun: false, reprocess: null });
  await commit('cleanup-old-documents', bulkWorkflowId(TENANT, bulk));
  await eventually(async () => (await rig.store.getJob(TENANT, document.job)) === null);
  await commit('delete-document', deleteWorkflowId(document.job));
});

test('paused in a stage and resumed', async () => {
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  rig.reader.before = async (step) => {
    if (step !== 'extract') return;
    reached.resolve();
    await go.promise;
  };
  const document = await rig.upload('paused.txt', 'paused');
  await reached.promise;
  await rig.jobs.control(TENANT, document.job, 'pause');
  go.resolve();
  await rig.whenDocument(document.id, ({ state }) => state === 'paused');
  await rig.jobs.control(TENANT, document.job, 'resume');
  await ended(document);
  await commit('document-paused-and-resumed', jobWorkflowId(document.job, 1));
});

test('failed in a stage', async () => {
  rig.reader.before = async () => { throw new SheafError('corrupt_file', 'The file is damaged.'); };
  const document = await rig.upload('failed.txt', 'failed');
  await ended(document);
  await commit('document-failed', jobWorkflowId(document.job, 1));
});

test('waiting for the scanner', async () => {
  let tries = 0;
  rig.scanner.scan = async () => {
    if (++tries === 1) throw new SheafError('scanner_unavailable', 'The malware scanner cannot be reached.');
    return { clean: true };
  };
  const document = await rig.upload('waiting.txt', 'waiting');
  await ended(document);
  await commit('document-waiting', jobWorkflowId(document.job, 1));
});
