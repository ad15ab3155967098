/** What a Temporal server needs once: the namespace, and the search attributes in it. May be done again. */
import type { Client } from '@temporalio/client';
import { encodeSearchAttributeIndexedValueType } from '@temporalio/common/lib/search-attributes.js';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';

const RETENTION_SECONDS = 30 * 86_400;
const PATIENCE_MS = 10_000;
/** A namespace is known to every part of a server some seconds after it was made. */
const TRIES = 30;
/** gRPC's. */
const ALREADY_EXISTS = 6;

/** Answers what it made, for people. Rejects with the client's error when Temporal does not answer. */
export async function prepareTemporal(client: Client, namespace: string): Promise<string[]> {
  const { workflowService, operatorService } = client.connection;
  const ask = <T>(call: () => Promise<T>): Promise<T> => client.withDeadline(Date.now() + PATIENCE_MS, call);
  const made: string[] = [];
  await ask(() => workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: { seconds: RETENTION_SECONDS as never } }))
    .then(() => made.push(`namespace ${namespace}`), (error: unknown) => {
      if (!(error instanceof Error) || !('code' in error) || error.code !== ALREADY_EXISTS) throw error;
    });
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
