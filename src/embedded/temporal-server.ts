/** The embedded Temporal server: how it is called, and when it is ready. */
import net from 'node:net';
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

/** The wanted port when nobody listens on it, else one that the system gives. */
export async function freePort(wanted = 0, host = '127.0.0.1'): Promise<number> {
  return (await listens(wanted, host)) ?? (await freePort(0, host));
}

function listens(port: number, host: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (port !== 0 && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) resolve(null);
      else reject(error);
    });
    server.listen(port, host, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}
