/** What a Temporal server needs once: the namespace, and the search attributes in it. May be done again. */
import type { Client } from '@temporalio/client';
import { encodeSearchAttributeIndexedValueType } from '@temporalio/common/lib/search-attributes.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';

/** How long ended workflows can be looked at; the job's own record stays. */
const RETENTION = '30 days';
const PATIENCE_MS = 10_000;
/** A namespace is known to every part of a server some seconds after it was made. */
const TRIES = 30;
/** gRPC's. */
const NOT_FOUND = 5;

/** Answers what it made, for people. Rejects with the client's error when Temporal does not answer. */
export async function prepareTemporal(client: Client, namespace: string): Promise<string[]> {
  const { workflowService, operatorService } = client.connection;
  const ask = <T>(call: () => Promise<T>): Promise<T> => client.withDeadline(Date.now() + PATIENCE_MS, call);
  const made: string[] = [];
  const isThere = await ask(() => workflowService.describeNamespace({ namespace })).then(() => true, (error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === NOT_FOUND) return false;
    throw error;
  });
  if (!isThere) {
    await ask(() => workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs(RETENTION) }));
    made.push(`namespace ${namespace}`);
  }
  for (let tried = 1; ; tried++) {
    try {
      const { customAttributes } = await ask(() => operatorService.listSearchAttributes({ namespace }));
      const missing = Object.values(SEARCH_ATTRIBUTES).filter(({ name }) => !(name in (customAttributes ?? {})));
      if (missing.length === 0) return made;
      const searchAttributes = Object.fromEntries(missing.map(({ name, type }) => [name, encodeSearchAttributeIndexedValueType(type) ?? 0]));
      await ask(() => operatorService.addSearchAttributes({ namespace, searchAttributes }));
      return [...made, ...missing.map(({ name }) => `search attribute ${name}`)];
    } catch (error) {
      if (tried === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}
