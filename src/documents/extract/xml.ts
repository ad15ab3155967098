/** The XML of document formats, as events. Document types and entities that a part declares have no effect. */
import type { ZipParts } from '../../sources/xlsx-zip.ts';
import { parseXml, type Attributes } from '../../sources/xlsx-xml.ts';

/** Characters of one text or tag; pictures inside of the XML (Word's flat form) are none of ours. */
const MAX_CHARS = 16 * 2 ** 20;
/** Elements inside one another: tables in text boxes in tables have some fifty. */
const DEEPEST = 2_000;

export interface XmlEvents {
  open(name: string, attributes: Attributes): void;
  close(name: string): void;
  text(text: string): void;
}

/** Names and attributes come without their prefixes. Rejects with `corrupt_file`; what came before has been handed over. */
export async function readXml(chunks: AsyncIterable<Buffer>, part: string, events: XmlEvents): Promise<void> {
  const handler: XmlEvents = {
    open: (name, attributes) => events.open(name, withoutPrefixes(attributes)), close: (name) => events.close(name), text: (text) => events.text(text),
  };
  for await (const _ of parseXml(chunks, part, MAX_CHARS, handler, DEEPEST));
}

function withoutPrefixes(attributes: Attributes): Attributes {
  const local: Attributes = {};
  for (const name in attributes) {
    // `id` and `r:id` may stand side by side, and the latter is what leads to another part.
    local[name === 'r:id' ? 'rId' : name.slice(name.indexOf(':') + 1)] ??= attributes[name]!;
  }
  return local;
}

/** Text of the first element of each name in a small part: a document's properties. */
export async function readValues(parts: ZipParts, part: string, names: readonly string[]): Promise<Record<string, string>> {
  const values: Record<string, string> = {};
  let current: string | null = null;
  if (!parts.has(part)) return values;
  await readXml(parts.read(part), part, {
    open: (name) => { current = names.includes(name) && values[name] === undefined ? name : null; },
    close: () => { current = null; },
    text: (text) => {
      if (current !== null && (values[current]?.length ?? 0) < 10_000) values[current] = (values[current] ?? '') + text;
    },
  }).catch(() => undefined);
  return values;
}
