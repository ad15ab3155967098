/** Who may ask: service accounts and users with refresh tokens, and the access tokens that they were given. */
import { createVerify, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';

export interface Account {
  email: string;
  /** Of a service account. */
  key?: KeyObject;
  /** Of a user: the one that is good now. */
  refreshToken?: string;
  scopes: string[];
  revoked: boolean;
  /** Refresh tokens are good for one use. */
  rotates: boolean;
}

interface Token { account: Account; scopes: string[]; expiresAt: number }

export class TokenRefused extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class Accounts {
  readonly all: Account[] = [];
  /** How many times each account's tokens were renewed. */
  readonly renewals = new Map<string, number>();
  /** Of the tokens that are given out from now on. */
  lifetimeMs = 3_600_000;
  #tokens = new Map<string, Token>();

  /** What a key file holds. */
  serviceAccount(email: string): { [field: string]: string } {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.all.push({ email, key: publicKey, scopes: [], revoked: false, rotates: false });
    return {
      type: 'service_account', project_id: 'demo', private_key_id: 'k1', client_email: email, client_id: '1', token_uri: 'https://oauth2.googleapis.com/token',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }

  /** What the token file of a user holds, as Google's own quickstarts write it. */
  user(email: string, scopes: string[], { rotates = false } = {}): { [field: string]: string } {
    const refreshToken = `refresh-${randomUUID()}`;
    this.all.push({ email, refreshToken, scopes, revoked: false, rotates });
    return { type: 'authorized_user', client_id: 'client', client_secret: 'secret', refresh_token: refreshToken };
  }

  of(email: string): Account {
    const account = this.all.find((one) => one.email === email);
    if (!account) throw new Error(`There is no account ${email}.`);
    return account;
  }

  /** The token endpoint. */
  grant(form: URLSearchParams): { [field: string]: unknown } {
    const { account, scopes } = form.get('grant_type') === 'refresh_token' ? this.#byRefreshToken(form) : this.#byAssertion(form.get('assertion') ?? '');
    if (account.revoked) throw new TokenRefused('invalid_grant', account.key ? 'Invalid grant: account not found' : 'Token has been expired or revoked.');
    this.renewals.set(account.email, (this.renewals.get(account.email) ?? 0) + 1);
    const token = `ya29.${randomUUID()}`;
    this.#tokens.set(token, { account, scopes, expiresAt: Date.now() + this.lifetimeMs });
    if (account.rotates) account.refreshToken = `refresh-${randomUUID()}`;
    return {
      access_token: token, expires_in: Math.max(1, Math.floor(this.lifetimeMs / 1000)), token_type: 'Bearer', scope: scopes.join(' '),
      ...(account.rotates && { refresh_token: account.refreshToken }),
    };
  }

  #byRefreshToken(form: URLSearchParams): Pick<Token, 'account' | 'scopes'> {
    const account = this.all.find(({ refreshToken }) => refreshToken !== undefined && refreshToken === form.get('refresh_token'));
    if (!account) throw new TokenRefused('invalid_grant', 'Token has been expired or revoked.');
    if (form.get('client_id') !== 'client' || form.get('client_secret') !== 'secret') throw new TokenRefused('invalid_client', 'The OAuth client was not found.');
    return { account, scopes: account.scopes };
  }

  #byAssertion(assertion: string): Pick<Token, 'account' | 'scopes'> {
    const [head = '', body = '', signature = ''] = assertion.split('.');
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString() || '{}') as { iss?: string; scope?: string | string[]; aud?: string };
    const account = this.all.find(({ email, key }) => key && email === claims.iss);
    if (!account?.key || claims.aud !== 'https://oauth2.googleapis.com/token') throw new TokenRefused('invalid_grant', 'Invalid grant: account not found');
    const genuine = createVerify('RSA-SHA256').update(`${head}.${body}`).verify(account.key, Buffer.from(signature, 'base64url'));
    if (!genuine) throw new TokenRefused('invalid_grant', 'Invalid JWT Signature.');
    return { account, scopes: [claims.scope ?? []].flat().flatMap((scope) => scope.split(' ')) };
  }

  /** Null: no such token, or it has expired. */
  whose(header: string | undefined): Token | null {
    const token = this.#tokens.get(/^Bearer (.+)$/.exec(header ?? '')?.[1] ?? '');
    return token && token.expiresAt > Date.now() && !token.account.revoked ? token : null;
  }

  /** Every access token that is out, as if its hour were over. */
  expireTokens(): void {
    this.#tokens.clear();
  }
}
