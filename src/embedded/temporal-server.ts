/** The embedded Temporal server: how it is called, and when it is ready. */
import { Connection } from '@temporalio/client';

export interface TemporalServerOptions {
  port: number;
  /** Null: no Web UI. */
  uiPort: number | null;
  namespace: string;
  /** Its SQLite file. */
  database: string;
}

/** Types by name, as `temporal server start-dev --search-attribute` takes them. */
export const SEARCH_ATTRIBUTES = {
  SheafTenant: 'Keyword',
  SheafKind: 'Keyword',
  SheafState: 'Keyword',
  SheafSource: 'Keyword',
  SheafTags: 'KeywordList',
} as const;

export function temporalServerArguments(options: TemporalServerOptions): string[] {
  return [
    'server', 'start-dev',
    '--ip', '127.0.0.1',
    '--port', String(options.port),
    ...(options.uiPort === null ? ['--headless'] : ['--ui-port', String(options.uiPort)]),
    '--namespace', options.namespace,
    '--db-filename', options.database,
    // The server's default waits for the disk at every write; WAL with `normal` survives a killed process as well.
    '--sqlite-pragma', 'journal_mode=WAL',
    '--sqlite-pragma', 'synchronous=NORMAL',
    '--dynamic-config-value', 'matching.enableFairness=true',
    ...Object.entries(SEARCH_ATTRIBUTES).flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    '--log-format', 'json',
    '--log-level', 'warn',
  ];
}

/** Resolves once the namespace answers; rejects with the signal's reason. */
export async function temporalReady(address: string, namespace: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const connection = await Connection.connect({ address, connectTimeout: '2s' });
      try {
        await connection.withDeadline(Date.now() + 2_000, () => connection.workflowService.describeNamespace({ namespace }));
        return;
      } finally {
        await connection.close();
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
