/** Where a service calls back about a row: the tenant, the intent, and what nobody can guess. */
import { timingSafeEqual } from 'node:crypto';
import { API_PREFIX } from '../contracts/api.ts';
import type { IntentRecord } from '../contracts/intent.ts';
import { intentId } from '../store/intents.ts';

export const CALLBACKS = `${API_PREFIX}/callbacks`;

/** `publicUrl`: where services reach the API. */
export const callbackAddress = (publicUrl: string, intent: IntentRecord): string => `${publicUrl}${CALLBACKS}/${intent.tenant}~${intentId(intent, intent.key)}~${intent.token}`;

/** Null: it is none. */
export function readCallbackToken(text: string): { tenant: string; id: string; token: string } | null {
  const [, tenant, id, token] = /^([a-z0-9][a-z0-9_-]{0,62})~([\w-]{22})~([\w-]{24})$/.exec(text) ?? [];
  return tenant === undefined ? null : { tenant, id: id!, token: token! };
}

export const isToken = (given: string, intent: IntentRecord): boolean => given.length === intent.token.length && timingSafeEqual(Buffer.from(given), Buffer.from(intent.token));
