/** XML of no format that is known: the texts of its elements. */
import { allBytes, type Reader } from './input.ts';
import { memoryFile } from './office-password.ts';
import { decodeText } from './text-encoding.ts';
import { readXml } from './xml.ts';

export const readXmlDocument: Reader = async (input, out) => {
  const bytes = await allBytes(input.file);
  const declared = /^\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.:-]+)/i.exec(bytes.toString('latin1', 0, 400))?.[1];
  const { text } = decodeText(bytes, declared);
  const utf8 = memoryFile(Buffer.from(text.replace(/^\ufeff?\s*<\?xml[^>]*\?>/, '')), input.file.name);
  let found = '';
  const put = (): void => {
    out.block('paragraph', found);
    found = '';
  };
  try {
    await readXml(await utf8.stream(), 'document', { open: put, close: put, text: (piece) => { found += piece; } });
  } catch (error) {
    put();
    if (out.blocks === 0) throw error;
    out.warn('part_damaged', 'The file is no longer XML from some place on', { missing: true });
  }
};
