/**
 * XML parts of a workbook, streamed. Nothing outside the part is ever read: document types and entities that it
 * declares have no effect, and references to them are errors.
 */
import { SaxesParser } from 'saxes';
import { SheafError } from '../contracts/errors.ts';
import { corrupt } from './xlsx-zip.ts';

/** Elements inside one another; a workbook has a dozen. */
const DEEPEST = 64;

export type Attributes = Record<string, string>;

/** Names come without their namespace prefix, so that strict, transitional and prefixed files read alike. */
export interface XmlHandler {
  open(name: string, attributes: Attributes): void;
  close(name: string): void;
  text(text: string): void;
  /** A text or tag is longer than allowed: the error that names the place. */
  tooLong?(): SheafError;
}

/** Yields after every chunk, so that the caller can hand on what the handler has collected. */
export async function* parseXml(
  chunks: AsyncIterable<Buffer>, part: string, maxChars: number, handler: XmlHandler, deepest = DEEPEST,
): AsyncGenerator<void, void, undefined> {
  const parser = new SaxesParser({ xmlns: false, position: false });
  const localNames = new Map<string, string>();
  const local = (name: string): string => {
    let known = localNames.get(name);
    if (known === undefined) {
      known = name.slice(name.indexOf(':') + 1);
      if (localNames.size < 1000) localNames.set(name, known);
    }
    return known;
  };
  let depth = 0;
  let sinceTag = 0;
  parser.on('opentag', (tag) => {
    sinceTag = 0;
    if (++depth > deepest) throw corrupt('is nested too deep', part);
    handler.open(local(tag.name), tag.attributes);
  });
  parser.on('closetag', (tag) => {
    sinceTag = 0;
    depth -= 1;
    handler.close(local(tag.name));
  });
  parser.on('text', (text) => handler.text(text));
  parser.on('cdata', (text) => handler.text(text));

  const feed = (text: string | null): void => {
    try {
      if (text === null) parser.close();
      else parser.write(text);
    } catch (error) {
      throw error instanceof SheafError ? error : corrupt('is not well-formed XML', part, error);
    }
  };
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  for await (const chunk of chunks) {
    decoder ??= new TextDecoder(encodingOf(chunk));
    const text = decoder.decode(chunk, { stream: true });
    sinceTag += text.length;
    feed(text);
    if (sinceTag > maxChars + text.length) throw handler.tooLong?.() ?? corrupt('has a text longer than is allowed', part);
    yield;
  }
  feed(decoder?.decode() ?? '');
  feed(null);
}

function encodingOf(start: Buffer): string {
  if ((start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0x3c && start[1] === 0)) return 'utf-16le';
  if ((start[0] === 0xfe && start[1] === 0xff) || (start[0] === 0 && start[1] === 0x3c)) return 'utf-16be';
  const declared = /^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["']/.exec(start.subarray(0, 200).toString('latin1'))?.[1];
  try {
    return new TextDecoder(declared ?? 'utf-8').encoding;
  } catch {
    return 'utf-8';
  }
}
