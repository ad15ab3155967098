/** Handlers prepared for jobs of this process: made once per job and attempt, shared by its pages, closed when idle. */
import type { Answers } from '../contracts/answer.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import { SheafError } from '../contracts/errors.ts';
import { findHandler, parseOptions } from '../handlers/index.ts';
import type { Handler, PreparedHandler } from '../handlers/handler.ts';
import { rowModels, type Asking } from '../models/questions.ts';
import type { ActivityDeps } from './deps.ts';
import type { Purses } from './purse.ts';

/** A job's next page comes within moments; a paused job's handler is made anew. */
const IDLE_MS = 30_000;

interface Entry {
  prepared: Promise<PreparedHandler>;
  users: number;
  idle: NodeJS.Timeout | undefined;
}

export interface PreparedHandlers {
  /** Lends the job's handler to `use`. Rejects as `Handler.prepare` does. */
  with<T>(job: SheetJobRecord, columns: string[], use: (prepared: PreparedHandler, handler: Handler) => Promise<T>): Promise<T>;
  closeAll(): Promise<void>;
}

export function preparedHandlers(deps: ActivityDeps, paying: Purses): PreparedHandlers {
  const entries = new Map<string, Entry>();
  const questions = new Map<string, Asking['underWay']>();

  const prepare = async (job: SheetJobRecord, handler: Handler, columns: string[]): Promise<PreparedHandler> => {
    const prepared = await handler.prepare(parseOptions(handler, job.request.options), {
      tenant: job.tenant, jobId: job.id, columns, handlerDirs: deps.handlerDirs, web: deps.web,
      pages: deps.pages.of({ tenant: job.tenant, owner: job.owner, force: job.request.force }),
      log: handlerLog(deps, job), secret: (name, host) => deps.secrets(name, { tenant: job.tenant, host }),
      models: rowModels({ models: deps.languageModels, answers: answersOf(deps, job.tenant), underWay: questionsOf(job.tenant), force: job.request.force }),
    });
    if (prepared.priced !== false || paying.of(job) === null) return prepared;
    await prepared.close();
    throw new SheafError('price_unknown', `Handler "${handler.name}" cannot tell what its rows cost, so that no budget can hold it.`, {
      remedy: 'Put the model into the table in SHEAF_MODEL_PRICES of the workers (with 0 where it costs nothing), or run the job without a budget', place: { field: 'maxCost' },
    });
  };

  /** Of one tenant, from whatever job. */
  const questionsOf = (tenant: string): Asking['underWay'] => {
    const known = questions.get(tenant) ?? new Map();
    questions.set(tenant, known);
    return known;
  };

  const close = async (key: string, entry: Entry): Promise<void> => {
    clearTimeout(entry.idle);
    if (entries.get(key) === entry) entries.delete(key);
    await entry.prepared.then((prepared) => prepared.close(), () => {});
  };

  return {
    async with(job, columns, use) {
      const handler = findHandler(job.request.handler);
      const key = `${job.tenant}/${job.id}/${job.attempt}`;
      let entry = entries.get(key);
      if (!entry) entries.set(key, (entry = { prepared: prepare(job, handler, columns), users: 0, idle: undefined }));
      clearTimeout(entry.idle);
      entry.users++;
      const lent = entry;
      try {
        return await use(await lent.prepared, handler);
      } catch (error) {
        // What could not be prepared is not kept.
        await lent.prepared.catch(() => entries.delete(key));
        throw error;
      } finally {
        lent.users--;
        if (lent.users === 0) lent.idle = setTimeout(() => void close(key, lent), IDLE_MS).unref();
      }
    },

    async closeAll() {
      await Promise.all([...entries].map(([key, entry]) => close(key, entry)));
    },
  };
}

const answersOf = ({ store }: ActivityDeps, tenant: string): Answers => ({
  read: (keys) => store.readAnswers(tenant, keys),
  write: (answer) => store.writeAnswer(tenant, answer),
});

function handlerLog(deps: ActivityDeps, job: SheetJobRecord) {
  const log = deps.log.child({ tenant: job.tenant, job: job.id, handler: job.request.handler });
  return {
    debug: (message: string, data?: object) => log.debug(data ?? {}, message),
    info: (message: string, data?: object) => log.info(data ?? {}, message),
    warn: (message: string, data?: object) => log.warn(data ?? {}, message),
    error: (message: string, data?: object) => log.error(data ?? {}, message),
  };
}
