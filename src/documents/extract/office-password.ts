/** Opens encrypted Office files (MS-OFFCRYPTO): agile encryption of Office 2010 and later, standard encryption of 2007. */
import { createDecipheriv, createHash, timingSafeEqual } from 'node:crypto';
import { Readable } from 'node:stream';
import { SaxesParser } from 'saxes';
import type { SheetFile } from '../../sources/source.ts';
import { allBytes, damaged, passwordWrong } from './input.ts';

/** Word asks for 100,000 rounds; what asks for more than this wants to keep us busy. */
const MOST_SPINS = 10_000_000;
const SEGMENT_BYTES = 4096;

const AGILE_VERIFIER_INPUT = Buffer.from('fea7d2763b4b9e79', 'hex');
const AGILE_VERIFIER_HASH = Buffer.from('d7aa0f6d3061344e', 'hex');
const AGILE_KEY = Buffer.from('146e0be7abacd0d6', 'hex');

const PIECE_BYTES = 64 * 1024;

/** Copies, because what a stream gives is its reader's. */
function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) yield Buffer.from(bytes.subarray(start, start + PIECE_BYTES));
}

/** A file in memory. */
export function memoryFile(bytes: Buffer, name: string): SheetFile {
  return {
    name, size: bytes.length, fingerprint: `memory:${bytes.length}`,
    stream: async ({ start = 0, end = bytes.length } = {}) => Readable.from(piecesOf(bytes.subarray(start, end)), { objectMode: false }),
  };
}

/** The package inside of the container. Rejects with `password_wrong`, or `corrupt_file` for an encryption that is none of the two. */
export async function decryptOffice(file: SheetFile, password: string): Promise<SheetFile> {
  const { CFB } = await import('@e965/xlsx');
  let info: Buffer;
  let encrypted: Buffer;
  try {
    const container = CFB.read(await allBytes(file), { type: 'buffer' });
    info = Buffer.from(CFB.find(container, 'EncryptionInfo')!.content as Uint8Array);
    encrypted = Buffer.from(CFB.find(container, 'EncryptedPackage')!.content as Uint8Array);
  } catch (error) {
    throw damaged('its encrypted container cannot be read', error);
  }
  try {
    const agile = info.readUInt16LE(0) === 4 && info.readUInt16LE(2) === 4;
    const bytes = agile ? decryptAgile(info.subarray(8).toString(), encrypted, password) : decryptStandard(info, encrypted, password);
    return memoryFile(bytes.subarray(0, Number(encrypted.readBigUInt64LE(0))), file.name);
  } catch (error) {
    if (error instanceof Error && error.message === 'wrong password') throw passwordWrong();
    throw damaged('its encryption is damaged, or of a kind that is not known', error);
  }
}

const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const hash = (algorithm: string, ...parts: Buffer[]): Buffer => {
  const digest = createHash(algorithm);
  for (const part of parts) digest.update(part);
  return digest.digest();
};

function spun(algorithm: string, salt: Buffer, password: string, spins: number): Buffer {
  if (!(spins >= 0 && spins <= MOST_SPINS)) throw new Error('impossible spin count');
  let value = hash(algorithm, salt, utf16(password));
  for (let at = 0; at < spins; at++) value = hash(algorithm, uint32(at), value);
  return value;
}

function decrypted(cipher: string, key: Buffer, iv: Buffer | null, data: Buffer): Buffer {
  const decipher = createDecipheriv(cipher, key, iv).setAutoPadding(false);
  return Buffer.concat([decipher.update(data), decipher.final()]);
}

const fitted = (bytes: Buffer, length: number): Buffer => (bytes.length >= length ? bytes.subarray(0, length) : Buffer.concat([bytes, Buffer.alloc(length - bytes.length, 0x36)]));

function decryptAgile(xml: string, encrypted: Buffer, password: string): Buffer {
  const found: Record<string, Record<string, string>> = {};
  const parser = new SaxesParser({ xmlns: false, position: false });
  parser.on('opentag', ({ name, attributes }) => { found[name.slice(name.indexOf(':') + 1)] ??= attributes; });
  parser.write(xml.replace(/\0+$/, '')).close();
  const [data, key] = [found['keyData'] ?? {}, found['encryptedKey'] ?? {}];
  const base64 = (of: Record<string, string>, name: string): Buffer => Buffer.from(of[name] ?? '', 'base64');
  const algorithm = (of: Record<string, string>): string => (of['hashAlgorithm'] ?? '').replace('-', '').toLowerCase();
  const cipher = (of: Record<string, string>): string => `aes-${Number(of['keyBits'])}-cbc`;

  const spins = spun(algorithm(key), base64(key, 'saltValue'), password, Number(key['spinCount']));
  const open = (purpose: Buffer, value: string): Buffer =>
    decrypted(cipher(key), fitted(hash(algorithm(key), spins, purpose), Number(key['keyBits']) / 8), fitted(base64(key, 'saltValue'), 16), base64(key, value));
  const verifier = hash(algorithm(key), open(AGILE_VERIFIER_INPUT, 'encryptedVerifierHashInput').subarray(0, Number(key['saltSize'])));
  if (!timingSafeEqual(verifier, open(AGILE_VERIFIER_HASH, 'encryptedVerifierHashValue').subarray(0, verifier.length))) throw new Error('wrong password');
  const secret = open(AGILE_KEY, 'encryptedKeyValue').subarray(0, Number(data['keyBits']) / 8);

  const pieces: Buffer[] = [];
  for (let at = 8, segment = 0; at < encrypted.length; at += SEGMENT_BYTES, segment++) {
    const iv = fitted(hash(algorithm(data), base64(data, 'saltValue'), uint32(segment)), Number(data['blockSize']));
    const piece = encrypted.subarray(at, at + SEGMENT_BYTES);
    pieces.push(decrypted(cipher(data), secret, iv, piece.subarray(0, piece.length & ~15)));
  }
  return Buffer.concat(pieces);
}

function decryptStandard(info: Buffer, encrypted: Buffer, password: string): Buffer {
  const headerSize = info.readUInt32LE(8);
  const keyBits = info.readUInt32LE(12 + 16);
  const at = 12 + headerSize;
  const salt = info.subarray(at + 4, at + 20);
  const verifier = info.subarray(at + 20, at + 36);
  const verifierHash = info.subarray(at + 40, at + 72);
  const final = hash('sha1', spun('sha1', salt, password, 50_000), uint32(0));
  const half = (pad: number): Buffer => {
    const padded = Buffer.alloc(64, pad);
    for (let index = 0; index < final.length; index++) padded[index] = padded[index]! ^ final[index]!;
    return hash('sha1', padded);
  };
  const key = Buffer.concat([half(0x36), half(0x5c)]).subarray(0, keyBits / 8);
  const cipher = `aes-${keyBits}-ecb`;
  const expected = hash('sha1', decrypted(cipher, key, null, verifier));
  if (!timingSafeEqual(expected, decrypted(cipher, key, null, verifierHash).subarray(0, 20))) throw new Error('wrong password');
  return decrypted(cipher, key, null, encrypted.subarray(8, 8 + ((encrypted.length - 8) & ~15)));
}
