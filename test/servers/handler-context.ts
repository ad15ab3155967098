/** A handler's context for tests: everything that it logs is kept. */
import { SheafError } from '../../src/contracts/errors.ts';
import type { HandlerContext } from '../../src/handlers/handler.ts';
import { localWeb } from './local-web.ts';
import { languageModels } from '../../src/models/providers.ts';
import { NO_MODELS, rowModelsAt } from './model/models.ts';

export interface LogLine {
  level: string;
  message: string;
  data?: object | undefined;
}

export function handlerContext(parts: Partial<HandlerContext> = {}, lines: LogLine[] = []): HandlerContext {
  const keep = (level: string) => (message: string, data?: object) => void lines.push({ level, message, data });
  return {
    tenant: 'default',
    jobId: 'job1',
    columns: [],
    log: { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') },
    handlerDirs: [],
    web: localWeb(),
    pages: { read: () => Promise.reject(new Error('There are no pages here.')), foresee: () => Promise.reject(new Error('There are no pages here.')) },
    secret: (name) => { throw new SheafError('secret_unknown', `There is no secret ${name}.`); },
    models: rowModelsAt(languageModels(NO_MODELS)),
    ...parts,
  };
}
