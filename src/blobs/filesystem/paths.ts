/**
 * Where an object lies below the folder: one folder or file a segment of its key. Letters, digits and `._-=+@,~` stand as they
 * are, everything else as %XX of its UTF-8 bytes, so that no file system has an opinion about it (also not macOS, which
 * rewrites accents). The first segment is the tenant: its capitals are encoded too, so that two tenants never meet where
 * names ignore case. Elsewhere, keys that differ in case alone would meet there; Sheaf makes none.
 */
import { SheafError } from '../../contracts/errors.ts';

/** Bytes of a key; S3's limit. */
const MAX_KEY = 1024;
/** Characters of an encoded segment; file systems take 255 bytes. */
const MAX_SEGMENT = 240;

const PLAIN = /[A-Za-z0-9._=+@,~-]/;
const DEVICE_NAME = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i;

const percent = (character: string): string =>
  [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');

function refuse(what: string): never {
  throw new SheafError('invalid_request', `The key of a stored object ${what}.`, { remedy: 'Use shorter, plainer names.' });
}

function encodeSegment(segment: string, first: boolean): string {
  let encoded = '';
  for (const character of segment) {
    encoded += PLAIN.test(character) && !(first && /[A-Z]/.test(character)) ? character : percent(character);
  }
  // Windows keeps device names for itself and drops dots at the end.
  if (DEVICE_NAME.test(encoded)) encoded = percent(encoded[0] ?? '') + encoded.slice(1);
  if (encoded.endsWith('.')) encoded = `${encoded.slice(0, -1)}%2E`;
  if (encoded.length > MAX_SEGMENT) refuse('has a part that is too long');
  return encoded;
}

/** Names of folders and, last, of the file. Throws `invalid_request`. */
export function keyPath(key: string): string[] {
  if (Buffer.byteLength(key) > MAX_KEY) refuse(`is longer than ${MAX_KEY} bytes`);
  if (!key.isWellFormed()) refuse('is not valid text');
  // XML, in which S3 answers, cannot hold them.
  if (/[\p{Cc}\ufffe\uffff\\]/u.test(key)) refuse('has a character that is not allowed');
  return key.split('/').map((segment, index) => {
    if (segment === '' || segment === '.' || segment === '..') refuse('has an empty or a dot part');
    return encodeSegment(segment, index === 0);
  });
}

/** The segment that a name stands for; null for names that no key has. */
export function decodeName(name: string, first: boolean): string | null {
  try {
    const segment = decodeURIComponent(name);
    return encodeSegment(segment, first) === name ? segment : null;
  } catch {
    return null;
  }
}
