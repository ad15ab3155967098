/** A handler's context for tests: everything that it logs is kept. */
import type { HandlerContext } from '../../src/handlers/handler.ts';
import { localWeb } from './local-web.ts';

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
    pages: { read: () => Promise.reject(new Error('There are no pages here.')) },
    ...parts,
  };
}
