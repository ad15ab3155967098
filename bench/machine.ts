/** What the figures were measured on. */
import os from 'node:os';

export const machine = () => ({
  at: new Date().toISOString(),
  node: process.version,
  os: `${os.type()} ${os.release()} ${os.arch()}`,
  cpu: `${os.cpus()[0]?.model.trim() ?? 'unknown'} × ${os.cpus().length}`,
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  load: os.loadavg().map((load) => Math.round(load * 100) / 100),
});
