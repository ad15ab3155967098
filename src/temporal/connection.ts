import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';

/** Connects when first used, and again by itself after every outage: a process may start before Temporal does. */
export function temporalClient(address: string, namespace: string): { client: Client; close(): Promise<void> } {
  const { retryableDecider, delayFunction } = defaultGrpcRetryOptions();
  let closing = false;
  /** When the last retry that is waiting has begun; on a closed connection it would throw where nobody catches. */
  let retriedBy = 0;
  const retries = makeGrpcRetryInterceptor({
    retryableDecider: (attempt, status) => !closing && retryableDecider(attempt, status),
    delayFunction(attempt, status) {
      const delayMs = delayFunction(attempt, status);
      retriedBy = Math.max(retriedBy, Date.now() + delayMs);
      return delayMs;
    },
  });
  const connection = Connection.lazy({ address, interceptors: [retries] });
  return {
    client: new Client({ connection, namespace }),
    async close() {
      closing = true;
      if (retriedBy > Date.now()) await sleep(retriedBy - Date.now() + 50);
      await connection.close();
    },
  };
}
