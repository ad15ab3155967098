/**
 * The token file of a user, as Google's quickstarts for Python and Node write it. Access tokens are good for an hour and
 * are written back, so that all processes that share the file share them; a refresh token may be good for one use.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { SheafError } from '../../contracts/errors.ts';
import { tryLock } from '../../process-lock.ts';

/** A token that is good for less than this is as good as expired. */
const LEAST_MS = 60_000;
const LOOK_AGAIN_MS = 25;

const content = z.looseObject({
  client_id: z.string().min(1),
  client_secret: z.string().min(1),
  refresh_token: z.string().min(1),
  // Node's names, and Python's.
  access_token: z.string().exactOptional(),
  expiry_date: z.number().exactOptional(),
  token: z.string().nullable().exactOptional(),
  expiry: z.string().nullable().exactOptional(),
  scopes: z.array(z.string()).nullable().exactOptional(),
});
export type TokenFileContent = z.output<typeof content>;

export interface AccessToken {
  token: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
}

export interface Refreshed extends AccessToken {
  /** Where the old one is good no more. */
  refreshToken?: string;
}

export interface TokenFile {
  /** One that is good for a while yet, and is not `rejected`, which Google no longer takes. Rejects with `credentials_invalid`, and as `refresh` does. */
  token(rejected: string | undefined): Promise<AccessToken>;
}

/** `refresh` asks Google; it is called by one process at a time. */
export function tokenFile(file: string, refresh: (content: TokenFileContent) => Promise<Refreshed>): TokenFile {
  let renewing: Promise<AccessToken> | null = null;

  const renew = async (rejected: string | undefined): Promise<AccessToken> => {
    const good = goodToken(await read(file), rejected);
    if (good) return good;
    const unlock = await locked(`${file}.lock`);
    try {
      const now = await read(file);
      const others = goodToken(now, rejected);
      if (others) return others;
      const fresh = await refresh(now);
      await replace(file, { ...now, ...tokenFields(now, fresh), refresh_token: fresh.refreshToken ?? now.refresh_token });
      return fresh;
    } finally {
      unlock();
    }
  };

  return {
    // Of one process, all who ask meanwhile get the same.
    token: (rejected) => (renewing ??= renew(rejected).finally(() => { renewing = null; })),
  };
}

async function read(file: string): Promise<TokenFileContent> {
  const refuse = (why: string, cause: unknown): SheafError => new SheafError('credentials_invalid', `The token file of the credentials ${why}`, {
    remedy: 'It is JSON with client_id, client_secret and refresh_token, as the OAuth flow of Google writes it', cause,
  });
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw refuse(`cannot be read (${error.code ?? 'error'})`, error); });
  try {
    return content.parse(JSON.parse(text));
  } catch (error) {
    throw refuse('is not one', error);
  }
}

function goodToken(found: TokenFileContent, rejected: string | undefined): AccessToken | null {
  const token = found.access_token ?? found.token ?? undefined;
  const expiresAt = found.expiry_date ?? (found.expiry ? Date.parse(/Z|[+-]\d\d:\d\d$/.test(found.expiry) ? found.expiry : `${found.expiry}Z`) : 0);
  return token !== undefined && token !== rejected && expiresAt - Date.now() > LEAST_MS ? { token, expiresAt } : null;
}

/** By the names that the file has. */
const tokenFields = (now: TokenFileContent, { token, expiresAt }: AccessToken): object =>
  'token' in now || 'expiry' in now ? { token, expiry: new Date(expiresAt).toISOString() } : { access_token: token, expiry_date: expiresAt };

/** Whoever holds it may be asking Google, which takes its time. */
async function locked(file: string): Promise<() => void> {
  for (;;) {
    const unlock = tryLock(file, 0);
    if (unlock) return unlock;
    await sleep(LOOK_AGAIN_MS * (1 + Math.random()));
  }
}

/** As a whole or not at all, for nobody else to read, and on the disk before the old one goes. */
async function replace(file: string, value: object): Promise<void> {
  const beside = `${file}.${randomUUID()}.tmp`;
  const { mode } = await stat(file);
  try {
    const handle = await open(beside, 'wx', mode & 0o700);
    try {
      await handle.writeFile(`${JSON.stringify(value, null, 2)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  }
}
