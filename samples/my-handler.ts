/**
 * A handler of your own: a function that Sheaf calls for every row. Try it:
 *
 *   npx sheaf job create samples/support-tickets.csv --key ticket --handler ./samples/my-handler.ts --option hours=8 --wait
 *
 * It says who should answer a ticket, and until when.
 */
import { RowError, type RowHandler } from 'sheaf/handler';

/** What the job may set with `--option name=value`. */
interface Options {
  /** Hours until an answer is due; urgent tickets get a quarter of them. */
  hours?: number;
}

/** The columns that it reads. A row whose other columns change is not handled again. Without this line it reads all. */
export const columns = ['received', 'channel', 'product', 'subject', 'message'];

/** Rows handled at once: as many as the service that you call can take. */
export const concurrency = 8;

// Names of limits that the service has, held across all jobs and workers; see docs/operations.md:
//   export const limits = ['my-service'];

/** Goes with the output. Change it (or this file) and every row is handled anew. */
export const version = 1;

const URGENT = /\burgent|\bdeadline|locked out|דחופה/i;

const handle: RowHandler<Options> = async (row, { options, log, signal }) => {
  // Thrown: the row has failed, the job goes on. Rows are counted and retried by the code.
  if (row['message'] === null) {
    throw new RowError('no_message', 'The ticket has no message', { column: 'message' });
  }

  // This is where you would call a model or a service. Pass the signal on, so that pause and cancel reach the call:
  //   const response = await fetch('https://…', { method: 'POST', body: JSON.stringify(row), signal });
  //   if (response.status === 429) throw new RowError('busy', 'The service is busy', { retryAfterSeconds: Number(response.headers.get('retry-after')) || 5 });
  signal.throwIfAborted();

  const urgent = row['channel'] === 'phone' || URGENT.test(`${row['subject'] ?? ''} ${row['message']}`);
  const hours = (options.hours ?? 24) / (urgent ? 4 : 1);
  const due = new Date(Date.parse(`${row['received']}T09:00:00Z`) + hours * 3_600_000);
  if (urgent) log.debug('urgent ticket');

  // Whatever JSON can hold. The names become columns of the results.
  return { team: row['product'] ?? 'Front desk', urgent, due: due.toISOString() };
};

export default handle;
