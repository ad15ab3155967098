/** What `sheaf system check` looks at in Temporal. */
import type { Client } from '@temporalio/client';
import { SheafError, type ErrorCode } from '../contracts/errors.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { Probe } from '../contracts/probe.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import { temporalHealth } from './health.ts';

const PATIENCE_MS = 5_000;
const PREPARE = '`sheaf system prepare` makes it.';
/** gRPC's, for what Temporal says. */
const NOT_FOUND = 5;

/** The first one fails where nothing answers at `address`. */
export function temporalProbes(client: Client, address: string, namespace: string): Probe[] {
  const { workflowService, operatorService } = client.connection;
  const ask = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await client.withDeadline(Date.now() + PATIENCE_MS, call);
    } catch (error) {
      throw problem('temporal_unavailable', `Temporal does not answer at ${address}: ${detailsOf(error)}.`, 'Start it, or correct SHEAF_TEMPORAL_ADDRESS (host:port). Jobs that are accepted meanwhile wait.', error);
    }
  };
  return [
    { name: 'Temporal', look: async () => `${address}, version ${(await ask(() => workflowService.getSystemInfo({}))).serverVersion}` },
    {
      name: 'Temporal namespace',
      async look() {
        const found = await ask(() => workflowService.describeNamespace({ namespace }).catch((error: unknown) => {
          if (codeOf(error) === NOT_FOUND) return null;
          throw error;
        }));
        if (found === null) throw problem('temporal_unavailable', `There is no namespace ${namespace}.`, `${PREPARE} Or correct SHEAF_TEMPORAL_NAMESPACE.`);
        const days = Number(found.config?.workflowExecutionRetentionTtl?.seconds ?? 0) / 86_400;
        return `${namespace}, keeps ended workflows for ${days} ${days === 1 ? 'day' : 'days'}`;
      },
    },
    {
      name: 'Temporal search attributes',
      async look() {
        const { customAttributes } = await ask(() => operatorService.listSearchAttributes({ namespace }));
        const missing = Object.values(SEARCH_ATTRIBUTES).map(({ name }) => name).filter((name) => !(name in (customAttributes ?? {})));
        if (missing.length > 0) throw problem('temporal_unavailable', `Search attributes are missing: ${missing.join(', ')}. No job can start.`, PREPARE);
        return `all ${Object.keys(SEARCH_ATTRIBUTES).length}`;
      },
    },
    {
      name: 'workers',
      async look() {
        const { workers } = await ask(temporalHealth(client, namespace));
        if (workers === 0) throw problem('temporal_unavailable', `No worker asks for jobs on ${TASK_QUEUES.jobs}.`, 'Jobs wait until one does. `npx sheaf start` runs one; else start src/worker.ts.');
        return `${workers} of late`;
      },
    },
  ];
}

const problem = (code: ErrorCode, message: string, remedy: string, cause?: unknown): SheafError => new SheafError(code, message, { remedy, cause });

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const detailsOf = (error: unknown): string => (error instanceof Error && 'details' in error && String(error.details) !== '' ? String(error.details) : 'no answer');
