/** Multipart forms with one file, which is never held in memory. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { Request } from 'express';
import { SheafError } from '../contracts/errors.ts';
import { InvalidRequest } from './problem.ts';

const LIMITS = { files: 1, fields: 30, fieldNameSize: 100, fieldSize: 64 * 1024, headerPairs: 50 };

export type Fields = ReadonlyMap<string, string>;

export interface FormFile {
  /** Of the field, and what the client calls the file. */
  field: string;
  name: string;
  contentType: string;
  content: Readable;
  /** Those that came before the file. */
  fields: Fields;
}

/**
 * Hands the file over while it arrives. Resolves when the whole form has been read, with what `take` made of the file and
 * all fields. Of a form that turns out to be broken, or to hold two files, `until` is aborted, and `undo` told of what was made.
 */
export async function readForm<Taken>(
  req: Request, signal: AbortSignal, take: (file: FormFile, until: AbortSignal) => Promise<Taken>, undo: (taken: Taken) => Promise<void>,
): Promise<{ taken: Taken; fields: Fields }> {
  const broken = new AbortController();
  const fields = new Map<string, string>();
  let taking: Promise<Taken> | undefined;
  try {
    const form = new Busboy({ headers: { ...req.headers, 'content-type': req.headers['content-type'] ?? '' }, limits: LIMITS });
    const failed = new Promise<never>((_resolve, reject) => {
      // Both streams tell of a broken form, the file's also after the form's.
      form.on('error', reject);
      form.on('field', (name, value, _nameCut, cut) => {
        if (cut) reject(wrong(`the field ${name} is too long`));
        fields.set(name, value);
      });
      form.on('file', (field, content, name, _encoding, contentType) => {
        content.on('error', reject);
        taking = take({ field, name: name ?? '', contentType, content, fields }, AbortSignal.any([signal, broken.signal]));
        taking.catch(reject);
      });
      form.on('filesLimit', () => reject(wrong('there is more than one file')));
      form.on('fieldsLimit', () => reject(wrong(`there are more than ${LIMITS.fields} fields`)));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    req.pipe(form);
    await Promise.race([once(form, 'finish'), failed]);
    if (!taking) throw wrong('there is no file');
    return { taken: await taking, fields };
  } catch (error) {
    req.unpipe().resume();
    broken.abort();
    const made = await taking?.then((taken) => ({ taken }), () => undefined);
    if (made) await undo(made.taken);
    if (error instanceof SheafError || signal.aborted) throw error;
    throw wrong('it is not a whole multipart form');
  }
}

const wrong = (message: string): InvalidRequest => new InvalidRequest('Form', [{ path: '', message }], 'Send one file as multipart/form-data.');

/** RFC 6266: `filename*` before `filename`; empty where there is neither. */
export function dispositionName(header: string): string {
  const encoded = /filename\*\s*=\s*utf-8''([^;\s]+)/i.exec(header)?.[1];
  if (encoded !== undefined) {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return ''; // a name is only a hint
    }
  }
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(header);
  return plain?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain?.[2] ?? '';
}
