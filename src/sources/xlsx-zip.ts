/**
 * The parts of an XLSX, or of another document that is a zip, out of a zip that nobody trusts: counted and measured
 * before anything is unpacked, and again while it is.
 */
import { pipeline } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import yauzl, { type Entry, type ZipFile } from 'yauzl';
import { SheafError } from '../contracts/errors.ts';
import { readBytes } from './read-bytes.ts';
import type { SheetFile, SheetLimits } from './source.ts';

/** Workbooks with thousands of pictures exist; with more parts than this they do not. */
const MOST_PARTS = 20_000;
/** Sheets pack to a thirtieth at best; a large part that packs better than this was made to. */
const HIGHEST_RATIO = 200;
const SUSPICIOUS_BYTES = 64 * 2 ** 20;
const READ_AHEAD = 64 * 1024;

const STORED = 0;
const DEFLATED = 8;

const tooLarge = (why: string, part?: string): SheafError =>
  new SheafError('archive_too_large', `The file unpacks to more than is allowed: ${why}`, {
    remedy: 'Save the file again with the program it comes from, or raise SHEAF_MAX_INFLATED_BYTES if the file can be trusted',
    ...(part !== undefined && { place: { part } }),
  });

export const corrupt = (why: string, part?: string, cause?: unknown): SheafError =>
  new SheafError('corrupt_file', part === undefined ? `The file is damaged: ${why}` : `The file is damaged: ${part} ${why}`, {
    remedy: 'Open it in the program that it comes from, save it again, and give that',
    ...(part !== undefined && { place: { part } }),
    cause,
  });

/** Serves yauzl's many small reads of the directory from few larger ones. */
class FileReader extends yauzl.RandomAccessReader {
  readonly #file: SheetFile;
  #block: Buffer = Buffer.alloc(0);
  #blockStart = 0;

  constructor(file: SheetFile) {
    super();
    this.#file = file;
  }

  override read(buffer: Buffer, offset: number, length: number, position: number, callback: (error: Error | null) => void): void {
    this.#bytes(position, length).then(
      (bytes) => {
        bytes.copy(buffer, offset);
        callback(bytes.length < length ? new Error('unexpected end of file') : null);
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async #bytes(position: number, length: number): Promise<Buffer> {
    const from = position - this.#blockStart;
    if (from < 0 || from + length > this.#block.length) {
      this.#block = await readBytes(this.#file, position, position + Math.max(length, READ_AHEAD));
      this.#blockStart = position;
    }
    return this.#block.subarray(position - this.#blockStart, position - this.#blockStart + length);
  }
}

export class ZipParts {
  readonly #file: SheetFile;
  readonly #zip: ZipFile;
  /** By name in lower case, as part names are compared. */
  readonly #entries = new Map<string, Entry>();

  private constructor(file: SheetFile, zip: ZipFile) {
    this.#file = file;
    this.#zip = zip;
  }

  /** Rejects with `corrupt_file` or `archive_too_large`; nothing is unpacked. */
  static async open(file: SheetFile, limits: Pick<SheetLimits, 'maxInflatedBytes'>): Promise<ZipParts> {
    try {
      const options = { autoClose: false, lazyEntries: true, decodeStrings: false, validateEntrySizes: false };
      const zip = await yauzl.fromRandomAccessReaderPromise(new FileReader(file), file.size, options);
      if (zip.entryCount > MOST_PARTS) throw tooLarge(`it has ${zip.entryCount} parts`);
      const parts = new ZipParts(file, zip);
      await parts.#readDirectory(limits);
      return parts;
    } catch (error) {
      throw error instanceof SheafError ? error : corrupt('its zip directory cannot be read, it may be cut off', undefined, error);
    }
  }

  async #readDirectory(limits: Pick<SheetLimits, 'maxInflatedBytes'>): Promise<void> {
    let inflated = 0;
    let packed = 0;
    for await (const entry of this.#zip.eachEntry()) {
      const name = Buffer.from(entry.fileNameRaw).toString().replaceAll('\\', '/').replace(/^\/+/, '');
      if (name.endsWith('/')) continue;
      if (name.includes('\0') || name.split('/').includes('..')) throw corrupt('a part has a name that leads out of the archive');
      inflated += entry.uncompressedSize;
      packed += entry.compressedSize;
      if (inflated > limits.maxInflatedBytes) throw tooLarge(`more than ${limits.maxInflatedBytes} bytes`);
      if (packed > this.#file.size) throw tooLarge('its parts overlap', name);
      if (entry.uncompressedSize > SUSPICIOUS_BYTES && entry.uncompressedSize > entry.compressedSize * HIGHEST_RATIO) {
        throw tooLarge(`a part of ${entry.uncompressedSize} bytes is packed in ${entry.compressedSize}`, name);
      }
      if (this.#entries.has(name.toLowerCase())) throw corrupt('is there twice', name);
      this.#entries.set(name.toLowerCase(), entry);
    }
  }

  has(name: string): boolean {
    return this.#entries.has(name.toLowerCase());
  }

  /** In lower case. */
  names(): string[] {
    return [...this.#entries.keys()];
  }

  /** A part's bytes, unpacked; no more than its directory entry declares, and at the end exactly those. */
  async *read(name: string): AsyncGenerator<Buffer, void, undefined> {
    const entry = this.#entries.get(name.toLowerCase());
    if (!entry) throw corrupt('is missing', name);
    if (entry.isEncrypted()) throw encrypted();
    if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED) {
      throw corrupt(`is packed by method ${entry.compressionMethod}, which such files do not have`, name);
    }
    let size = 0;
    let checksum = 0;
    try {
      for await (const chunk of await this.#unpacked(entry)) {
        size += chunk.length;
        if (size > entry.uncompressedSize) throw tooLarge('a part is larger than it declares', name);
        checksum = crc32(chunk, checksum);
        yield chunk;
      }
    } catch (error) {
      if (error instanceof SheafError) throw error;
      throw corrupt('cannot be unpacked', name, error);
    }
    if (size !== entry.uncompressedSize || checksum !== entry.crc32) throw corrupt('is not what its checksum says', name);
  }

  async #unpacked(entry: Entry): Promise<AsyncIterable<Buffer>> {
    const { fileDataStart } = await this.#zip.readLocalFileHeaderPromise(entry, { minimal: true });
    const packed = await this.#file.stream({ start: fileDataStart, end: fileDataStart + entry.compressedSize });
    if (entry.compressionMethod === STORED) return packed as AsyncIterable<Buffer>;
    // An error of either stream reaches who reads the second.
    return pipeline(packed, createInflateRaw({ chunkSize: 64 * 1024 }), () => {}) as AsyncIterable<Buffer>;
  }
}

export const encrypted = (): SheafError =>
  new SheafError('password_required', 'The file is encrypted with a password', {
    remedy: 'Open it with the password, save it without one, and give that',
  });
