/** Says on stderr that something long goes on, and for how long already. */
const terminal = process.stderr;

/** Resolves or rejects as the work does. On a terminal the line counts the seconds; elsewhere it comes every half minute. */
export async function withElapsed<Result>(what: string, work: Promise<Result>): Promise<Result> {
  const started = performance.now();
  const line = (): string => `${what} … ${Math.round((performance.now() - started) / 1000)} s`;
  const say = (): void => void terminal.write(terminal.isTTY ? `\r${line()}\u001b[K` : `${line()}\n`);
  say();
  const timer = setInterval(say, terminal.isTTY ? 1_000 : 30_000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (terminal.isTTY) terminal.write('\r\u001b[K');
  }
}

export const secondsSince = (started: number): string => `${Math.round((performance.now() - started) / 1000)} s`;
