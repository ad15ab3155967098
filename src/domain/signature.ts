/** Signatures as Standard Webhooks has them (`v1`): HMAC-SHA256 over id, time and body. What is sent is signed so, and what comes is checked. */
import { createHmac, timingSafeEqual } from 'node:crypto';

export const SIGNATURE_HEADERS = { id: 'webhook-id', timestamp: 'webhook-timestamp', signature: 'webhook-signature' } as const;

/** Older or newer than so many seconds is no signature any more: nobody can send again what he has overheard. */
const TOLERANCE_SECONDS = 300;

/** The scheme's own form of a secret: base64 after it. Any other is taken as it is. */
const PREFIX = 'whsec_';
const keyOf = (secret: string): Buffer => (secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), 'base64') : Buffer.from(secret));

/** False: it says that it is base64, and is not. */
export const isSigningSecret = (secret: string): boolean => secret !== '' && (!secret.startsWith(PREFIX) || /^whsec_(?=.{4})[A-Za-z\d+/]{2,}={0,2}$/.test(secret));

const macOf = (secret: string, id: string, timestamp: string, body: string | Uint8Array): Buffer =>
  createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.`).update(body).digest();

/** `now` in milliseconds since the epoch. */
export function signatureHeaders(secret: string, id: string, body: string, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  return {
    [SIGNATURE_HEADERS.id]: id, [SIGNATURE_HEADERS.timestamp]: timestamp,
    [SIGNATURE_HEADERS.signature]: `v1,${macOf(secret, id, timestamp, body).toString('base64')}`,
  };
}

/** Header names in lower case. */
export function isSigned(secret: string, headers: Record<string, string | string[] | undefined>, body: Uint8Array, now: number): boolean {
  const [id, timestamp, given] = [headers[SIGNATURE_HEADERS.id], headers[SIGNATURE_HEADERS.timestamp], headers[SIGNATURE_HEADERS.signature]];
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof given !== 'string' || !/^\d{1,12}$/.test(timestamp)) return false;
  if (Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const mac = macOf(secret, id, timestamp, body);
  return given.split(' ').some((one) => {
    const [version, text = ''] = one.split(',', 2);
    const signature = Buffer.from(text, 'base64');
    return version === 'v1' && signature.length === mac.length && timingSafeEqual(signature, mac);
  });
}
