// `node healthy.mjs api|worker`: exit code 0 when this container's process does its work. The API: it can answer
// requests, store and blobs included. The worker: it has asked Temporal for work within the last two minutes.
import os from 'node:os';

/** A poll lasts up to a minute, and a new one follows at once. */
const POLL_SECONDS = 120;
const PATIENCE_MS = 8_000;

const [role] = process.argv.slice(2);
try {
  if (role === 'api') await api();
  else if (role === 'worker') await worker();
  else throw new Error('Say which: healthy.mjs api|worker');
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function api() {
  const url = `http://127.0.0.1:${process.env.SHEAF_API_PORT || 8088}/readyz`;
  const { status } = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (status !== 200) throw new Error(`${url} answers ${status}`);
}

async function worker() {
  const { Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address: process.env.SHEAF_TEMPORAL_ADDRESS, connectTimeout: PATIENCE_MS });
  try {
    const { pollers } = await connection.withDeadline(Date.now() + PATIENCE_MS, () => connection.workflowService.describeTaskQueue({
      namespace: process.env.SHEAF_TEMPORAL_NAMESPACE || 'default', taskQueue: { name: 'sheaf-rows' }, taskQueueType: 2, // activities
    }));
    const since = Date.now() / 1000 - POLL_SECONDS;
    const mine = pollers.filter(({ identity, lastAccessTime }) => identity.endsWith(`@${os.hostname()}`) && Number(lastAccessTime.seconds) >= since);
    if (mine.length === 0) throw new Error(`No worker on ${os.hostname()} asks for rows`);
  } finally {
    await connection.close();
  }
}
