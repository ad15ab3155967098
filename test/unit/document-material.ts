/** What the tests of documents are made from: small documents of every format, part by part. */
import { readFile } from 'node:fs/promises';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { DOCUMENT_FILES, type Block, type DocumentReader, type Extraction, type ExtractRequest } from '../../src/documents/document.ts';
import { zip } from './source-material.ts';

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const packed = (parts: Record<string, string | Buffer>): Promise<Buffer> => zip(new Map(Object.entries(parts).map(([name, content]) => [name, Buffer.from(content)])));

const W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"';
const RELATIONSHIPS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const relation = (id: string, type: string, target: string): string => `<Relationship Id="${id}" Type="${OFFICE}/${type}" Target="${target}"/>`;

export const docxParagraph = (text: string, properties = ''): string => `<w:p><w:pPr>${properties}</w:pPr><w:r><w:t xml:space="preserve">${escaped(text)}</w:t></w:r></w:p>`;

/** `body`: what stands in `<w:body>`; `others`: parts by name, of which those of a known type are referred to. */
export const docx = (body: string, others: Record<string, string> = {}): Promise<Buffer> => {
  const types = ['styles', 'numbering', 'footnotes', 'endnotes', 'comments', 'header', 'footer'];
  const references = Object.keys(others).flatMap((name, at) => types.filter((type) => name.startsWith(`word/${type}`)).map((type) => relation(`rId${at}`, type, name.slice('word/'.length))));
  return packed({
    '[Content_Types].xml': '<Types/>',
    '_rels/.rels': `<Relationships ${RELATIONSHIPS}>${relation('rId1', 'officeDocument', 'word/document.xml')}</Relationships>`,
    'word/document.xml': `<w:document ${W}><w:body>${body}</w:body></w:document>`,
    'word/_rels/document.xml.rels': `<Relationships ${RELATIONSHIPS}>${references.join('')}</Relationships>`,
    ...others,
  });
};

export const docxPart = (root: string, content: string): string => `<w:${root} ${W}>${content}</w:${root}>`;

/** Slides as what stands in their `<p:spTree>`; notes beside them. */
export const pptx = (slides: { shapes: string; notes?: string }[]): Promise<Buffer> => {
  const names = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"';
  const parts: Record<string, string> = {
    '_rels/.rels': `<Relationships ${RELATIONSHIPS}>${relation('rId1', 'officeDocument', 'ppt/presentation.xml')}</Relationships>`,
    'ppt/presentation.xml': `<p:presentation ${names}><p:sldIdLst>${slides.map((_, at) => `<p:sldId id="${256 + at}" r:id="rId${at + 1}"/>`).join('')}</p:sldIdLst></p:presentation>`,
    'ppt/_rels/presentation.xml.rels': `<Relationships ${RELATIONSHIPS}>${slides.map((_, at) => relation(`rId${at + 1}`, 'slide', `slides/slide${at + 1}.xml`)).join('')}</Relationships>`,
  };
  slides.forEach(({ shapes, notes }, at) => {
    parts[`ppt/slides/slide${at + 1}.xml`] = `<p:sld ${names}><p:cSld><p:spTree>${shapes}</p:spTree></p:cSld></p:sld>`;
    if (notes === undefined) return;
    parts[`ppt/slides/_rels/slide${at + 1}.xml.rels`] = `<Relationships ${RELATIONSHIPS}>${relation('rId1', 'notesSlide', `../notesSlides/notesSlide${at + 1}.xml`)}</Relationships>`;
    parts[`ppt/notesSlides/notesSlide${at + 1}.xml`] = `<p:notes ${names}><p:cSld><p:spTree>${pptxShape(notes, 'body')}${pptxShape(String(at + 1), 'sldNum')}</p:spTree></p:cSld></p:notes>`;
  });
  return packed(parts);
};

export const pptxShape = (text: string, placeholder?: string): string =>
  `<p:sp><p:nvSpPr><p:nvPr>${placeholder === undefined ? '' : `<p:ph type="${placeholder}"/>`}</p:nvPr></p:nvSpPr><p:txBody>${text.split('\n').map((line) => `<a:p><a:r><a:t>${escaped(line)}</a:t></a:r></a:p>`).join('')}</p:txBody></p:sp>`;

const ODF = ['office', 'text', 'table', 'style', 'draw', 'presentation'].map((name) => `xmlns:${name}="urn:oasis:names:tc:opendocument:xmlns:${name}:1.0"`).join(' ');

export const odf = (kind: 'text' | 'spreadsheet' | 'presentation', body: string, others: Record<string, string> = {}): Promise<Buffer> => packed({
  mimetype: `application/vnd.oasis.opendocument.${kind}`,
  'content.xml': `<office:document-content ${ODF}><office:body><office:${kind}>${body}</office:${kind}></office:body></office:document-content>`,
  ...others,
});

export const epub = (chapters: string[]): Promise<Buffer> => packed({
  mimetype: 'application/epub+zip',
  'META-INF/container.xml': '<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
  'OEBPS/book.opf': `<package><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A book</dc:title><dc:creator>Its author</dc:creator><dc:language>en</dc:language></metadata><manifest>${chapters.map((_, at) => `<item id="c${at}" href="chapter%20${at}.xhtml"/>`).join('')}</manifest><spine>${chapters.map((_, at) => `<itemref idref="c${at}"/>`).join('')}</spine></package>`,
  ...Object.fromEntries(chapters.map((chapter, at) => [`OEBPS/chapter ${at}.xhtml`, `<html xmlns="http://www.w3.org/1999/xhtml"><body>${chapter}</body></html>`])),
});

/** A folder that is removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sheaf-document-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Read {
  extraction: Extraction;
  text: string;
  blocks: Block[];
  /** Texts of the blocks of a kind. */
  of(kind: Block['kind']): string[];
}

/** Reads a document that is given as its bytes. */
export async function readDocument(reader: DocumentReader, content: Buffer | string, name: string, more: Omit<Partial<ExtractRequest>, 'file' | 'folder'> = {}): Promise<Read> {
  const folder = temporaryFolder();
  const file = path.join(folder, 'document');
  writeFileSync(file, content);
  return readFileOf(reader, file, name, folder, more);
}

export async function readFileOf(reader: DocumentReader, file: string, name: string, folder: string, more: Omit<Partial<ExtractRequest>, 'file' | 'folder'> = {}): Promise<Read> {
  const extraction = await reader.extract({ file: { path: file, name }, folder, ...more });
  const [text, lines] = await Promise.all([readFile(path.join(folder, DOCUMENT_FILES.text), 'utf8'), readFile(path.join(folder, DOCUMENT_FILES.blocks), 'utf8')]);
  const blocks = lines.trimEnd().split('\n').map((line) => JSON.parse(line) as Block);
  return { extraction, text, blocks, of: (kind) => blocks.filter((block) => block.kind === kind).map(({ start, end }) => text.slice(start, end)) };
}
