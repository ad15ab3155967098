import { Client, Connection } from '@temporalio/client';

/** Connects when first used, and again by itself after every outage: a process may start before Temporal does. */
export function temporalClient(address: string, namespace: string): { client: Client; close(): Promise<void> } {
  const connection = Connection.lazy({ address });
  return { client: new Client({ connection, namespace }), close: () => connection.close() };
}
