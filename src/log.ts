/** One logger a process, JSON lines on stderr. Lines carry tenant, job and page; never secrets or cell content. */
import { pino, destination, type Logger } from 'pino';
import type { Config } from './config.ts';

export type Log = Logger;

export const createLog = (config: Pick<Config, 'SHEAF_LOG_LEVEL'>, name: string): Log =>
  pino({ name, level: config.SHEAF_LOG_LEVEL, base: { pid: process.pid } }, destination({ fd: 2, sync: true }));
