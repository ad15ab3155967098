/**
 * The Temporal servers that tests run against: the real one, which the run's global setup started, and the
 * time-skipping one, which a test file starts for itself (skipped time is global to a server).
 */
import { randomUUID } from 'node:crypto';
import { Connection } from '@temporalio/client';
import { encodeSearchAttributeIndexedValueType } from '@temporalio/common/lib/search-attributes.js';
import { msToTs } from '@temporalio/common/lib/time.js';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { DefaultLogger, makeTelemetryFilterString, Runtime } from '@temporalio/worker';
import { inject } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../src/embedded/temporal-server.ts';
import { findTimeSkippingServer } from './time-skipping/server.ts';

// The SDK's own chatter would bury what the tests say.
Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR' }) } },
});

/** host:port of the real server. */
export const temporalAddress = (): string => inject('temporalAddress');

/** A namespace of one's own on the real server, with Sheaf's search attributes: task queues and ids meet nobody else's. */
export async function freshNamespace(): Promise<string> {
  const namespace = `test-${randomUUID()}`;
  const connection = await Connection.connect({ address: temporalAddress() });
  try {
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs('1 day') });
    await registerSearchAttributes(connection, namespace);
    return namespace;
  } finally {
    await connection.close();
  }
}

/** Client and worker connections to the real server, in a fresh namespace unless one is named. `teardown()` closes them. */
export async function realEnv(namespace?: string): Promise<TestWorkflowEnvironment> {
  return TestWorkflowEnvironment.createFromExistingServer({
    address: temporalAddress(),
    namespace: namespace ?? (await freshNamespace()),
  });
}

/** A time-skipping server of one's own and connections to it; `teardown()` ends it. It knows no visibility queries. */
export async function timeSkippingEnv(): Promise<TestWorkflowEnvironment> {
  const path = await findTimeSkippingServer();
  if (path === null) {
    throw new Error('There is no time-skipping test server. Run "node scripts/setup.mjs --tests", which finds or makes one.');
  }
  for (let tries = 1; ; tries++) {
    try {
      const env = await TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } });
      await registerSearchAttributes(env.connection, 'default');
      return env;
    } catch (error) {
      // The SDK gives a server 5 s to start, which a busy machine may take.
      if (tries === 3 || !String(error).includes('did not start within')) throw error;
    }
  }
}

async function registerSearchAttributes(connection: Pick<Connection, 'operatorService'>, namespace: string): Promise<void> {
  await connection.operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => [name, indexedAs(type)])),
  });
}

function indexedAs(type: 'Keyword' | 'KeywordList') {
  const indexed = encodeSearchAttributeIndexedValueType(type === 'Keyword' ? 'KEYWORD' : 'KEYWORD_LIST');
  if (indexed === undefined) throw new Error(`The SDK knows no search attributes of type ${type}`);
  return indexed;
}
