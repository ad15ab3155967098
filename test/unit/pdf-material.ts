/** PDFs line by line, for tests and benches. */

/** A line of text on a page; `size` 12 unless given; `x` where it begins at the left. Points from the lower left corner. */
export interface PdfLine {
  text: string;
  x: number;
  y: number;
  size?: number;
}

/** A field of a form on a page (from 0), `rect` as left, bottom, right, top. */
export interface PdfField {
  page: number;
  rect: [number, number, number, number];
  /** As PDF has it: `/FT /Tx /V (text)`, say. */
  entries: string;
}

/**
 * A PDF in any script: a composite font without shapes, with an entry for each character that is used. As in the PDFs of word
 * processors, what is written from right to left is drawn from left to right, as it is seen.
 */
export function pdf(pages: PdfLine[][], { encrypt = false, info = '', fields = [] as PdfField[] } = {}): Buffer {
  const characters = [...new Set(pages.flat().flatMap(({ text }) => graphemes(text)))];
  const code = new Map(characters.map((character, at) => [character, (at + 1).toString(16).padStart(4, '0')]));
  const utf16 = (character: string): string => Buffer.from(character, 'utf16le').swap16().toString('hex');
  const mapping = characters.map((character) => `<${code.get(character)}> <${utf16(character)}>`);
  const blocks = Array.from({ length: Math.ceil(mapping.length / 100) }, (_, at) => mapping.slice(at * 100, at * 100 + 100)).map((some) => `${some.length} beginbfchar\n${some.join('\n')}\nendbfchar`);
  const references = (of: readonly PdfField[]): string => `[${of.map((field) => `${6 + 2 * pages.length + fields.indexOf(field)} 0 R`).join(' ')}]`;
  const objects: string[] = [
    `<< /Type /Catalog /Pages 2 0 R ${fields.length === 0 ? '' : `/AcroForm << /Fields ${references(fields)} >> `}>>`,
    `<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((_, at) => `${6 + 2 * at} 0 R`).join(' ')}] >>`,
    '<< /Type /Font /Subtype /Type0 /BaseFont /Sheaf /Encoding /Identity-H /DescendantFonts [4 0 R] /ToUnicode 5 0 R >>',
    '<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Sheaf /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 500 >>',
    stream(`/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Sheaf def /CMapType 2 def 1 begincodespacerange <0000> <ffff> endcodespacerange\n${blocks.join('\n')}\nendcmap end end`),
  ];
  for (const [at, lines] of pages.entries()) {
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >> /Contents ${7 + 2 * at} 0 R ${fields.length === 0 ? '' : `/Annots ${references(fields.filter(({ page }) => page === at))} `}>>`);
    objects.push(stream(lines.map(({ text, x, y, size = 12 }) => `BT /F ${size} Tf 1 0 0 1 ${x} ${y} Tm <${seen(text).map((character) => code.get(character)).join('')}> Tj ET`).join('\n')));
  }
  for (const [at, { page, rect, entries }] of fields.entries()) objects.push(`<< /Type /Annot /Subtype /Widget /P ${6 + 2 * page} 0 R /Rect [${rect.join(' ')}] /T (field${at}) ${entries} >>`);
  let file = '%PDF-1.7\n%\u00e2\u00e3\u00cf\u00d3\n';
  const offsets = objects.map((object, at) => {
    const offset = file.length;
    file += `${at + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = file.length;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('')}`;
  file += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R ${info === '' ? '' : `/Info << ${info} >> `}${encrypt ? '/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (12345678901234567890123456789012) /U (12345678901234567890123456789012) >> /ID [<00> <00>] ' : ''}>>\nstartxref\n${table}\n%%EOF\n`;
  return Buffer.from(file, 'latin1');
}

const stream = (content: string): string => `<< /Length ${content.length} >>\nstream\n${content}\nendstream`;

/** Characters in the order in which they are seen from left to right; runs of Latin and numbers keep theirs. */
function seen(text: string): string[] {
  if (!/[\u0590-\u08ff]/.test(text)) return graphemes(text);
  return graphemes(text.replace(/[\p{Script=Latin}\p{N}]+(?:[ .,:-]+[\p{Script=Latin}\p{N}]+)*/gu, (run) => [...run].reverse().join(''))).reverse();
}

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });
const graphemes = (text: string): string[] => Array.from(segmenter.segment(text), ({ segment }) => segment);
