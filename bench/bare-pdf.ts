/**
 * The bare script that documents are measured against: one process that has pdf.js read a PDF page by page and counts the
 * tokens; no layout, no blocks, no chunks, no isolation. Usage: bare-pdf.ts FILE
 */
import { readFileSync } from 'node:fs';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_base';
import { getDocumentProxy } from 'unpdf';

const [file] = process.argv.slice(2);
if (!file) throw new Error('Usage: bare-pdf.ts FILE');

const pdf = await getDocumentProxy(new Uint8Array(readFileSync(file)), { verbosity: 0 });
const pages: string[] = [];
for (let number = 1; number <= pdf.numPages; number++) {
  const page = await pdf.getPage(number);
  const { items } = await page.getTextContent();
  pages.push(items.map((item) => ('str' in item ? `${item.str}${item.hasEOL ? '\n' : ''}` : '')).join(''));
  page.cleanup();
}
console.log(JSON.stringify({ pages: pages.length, tokens: countTokens(pages.join('\n')) }));
