/** From configured credentials to the client of Google's auth library that signs requests. */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AuthClient, JWT, OAuth2Client } from 'google-auth-library';
import { z } from 'zod';
import { SheafError } from '../../contracts/errors.ts';
import type { Credentials } from './credentials.ts';
import { tokenFile, type Refreshed, type TokenFileContent } from './token-file.ts';

const SCOPES = {
  read: ['https://www.googleapis.com/auth/spreadsheets.readonly', 'https://www.googleapis.com/auth/drive.metadata.readonly'],
  write: ['https://www.googleapis.com/auth/spreadsheets', 'https://www.googleapis.com/auth/drive.metadata.readonly'],
} as const;
export type Access = keyof typeof SCOPES;

export const TOKEN_URL = 'https://oauth2.googleapis.com/token';

/** Somebody who may ask Google. */
export interface Account {
  auth: OAuth2Client;
  /** For people: who asks, as far as that is known. */
  name: string;
  /** Google no longer takes the access token: the next request gets another. */
  renew(): void;
}

const keyFile = z.looseObject({ type: z.literal('service_account'), client_email: z.string().min(1), private_key: z.string().min(1) });

/** `googleUrl`: where the token endpoint is looked for instead of at Google. Rejects with `credentials_invalid`. */
export async function openAccount(name: string, credentials: Credentials, access: Access, googleUrl: string | null): Promise<Account> {
  const { GoogleAuth, JWT, OAuth2Client } = await import('google-auth-library');
  const scopes = [...SCOPES[access]];

  if (credentials.type === 'service_account') {
    const key = await readKeyFile(name, credentials.file);
    const auth = redirected(new JWT({ email: key.client_email, key: key.private_key, scopes }), googleUrl);
    return account(auth, key.client_email);
  }

  if (credentials.type === 'authorized_user') {
    const refresh = async ({ client_id, client_secret, refresh_token }: TokenFileContent): Promise<Refreshed> => {
      const asking = redirected(new OAuth2Client({ clientId: client_id, clientSecret: client_secret }), googleUrl);
      asking.setCredentials({ refresh_token });
      let renewed: string | undefined;
      // Later the library overwrites a new refresh token with the old one.
      asking.on('tokens', (tokens) => { renewed = tokens.refresh_token ?? undefined; });
      const { credentials: { access_token, expiry_date } } = await asking.refreshAccessToken();
      return { token: access_token!, expiresAt: expiry_date!, ...(renewed !== undefined && { refreshToken: renewed }) };
    };
    const file = tokenFile(credentials.file, refresh);
    const auth = redirected(new OAuth2Client(), googleUrl);
    auth.refreshHandler = async () => {
      const { token, expiresAt } = await file.token(auth.credentials.expiry_date === EXPIRED ? auth.credentials.access_token ?? undefined : undefined);
      return { access_token: token, expiry_date: expiresAt };
    };
    // A refresh that is due soon is everybody's; so early that nobody waits for it.
    auth.eagerRefreshThresholdMillis = 60_000;
    return account(auth, name);
  }

  try {
    const auth = redirected(await new GoogleAuth({ scopes }).getClient(), googleUrl) as OAuth2Client;
    return account(auth, 'email' in auth && typeof auth.email === 'string' ? (auth as JWT).email! : name);
  } catch (error) {
    throw new SheafError('credentials_invalid', 'There are no Application Default Credentials here', {
      remedy: 'Set GOOGLE_APPLICATION_CREDENTIALS to a key file, run `gcloud auth application-default login`, or name credentials of SHEAF_CREDENTIALS', cause: error,
    });
  }
}

const EXPIRED = 1;

const account = (auth: OAuth2Client, name: string): Account => ({
  auth, name,
  renew: () => auth.setCredentials({ ...auth.credentials, expiry_date: EXPIRED }),
});

async function readKeyFile(name: string, file: string): Promise<z.output<typeof keyFile>> {
  const refuse = (why: string, cause: unknown): SheafError => new SheafError('credentials_invalid', `The key file of ${name} ${why}`, {
    remedy: 'It is the JSON that Google made for a key of the service account', cause,
  });
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw refuse(`cannot be read (${error.code ?? 'error'})`, error); });
  try {
    const key = keyFile.parse(JSON.parse(text));
    createPrivateKey(key.private_key);
    return key;
  } catch (error) {
    throw refuse('is not one of a service account', error);
  }
}

/** The library knows one token endpoint, whatever a key file says; only the operator may send secrets elsewhere. */
function redirected<Client extends AuthClient>(client: Client, googleUrl: string | null): Client {
  if (googleUrl === null) return client;
  const url = new URL('/token', googleUrl);
  client.transporter.interceptors.request.add({
    resolved: async (options) => (String(options.url) === TOKEN_URL ? { ...options, url } : options),
  });
  return client;
}
