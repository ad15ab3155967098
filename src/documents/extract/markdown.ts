/** Markdown (CommonMark with GitHub's tables), by marked's lexer: what a reader of the page sees, without the marks. */
import { Lexer, type MarkedToken, type Token, type Tokens } from 'marked';
import { allBytes, type Reader } from './input.ts';
import { decodeText } from './text-encoding.ts';
import { putText } from './text.ts';
import type { DocumentWriter } from './writer.ts';

const DEEPEST = 100;

export const readMarkdown: Reader = async (input, out) => {
  const { text, encoding, damaged } = decodeText(await allBytes(input.file));
  if (damaged) out.warn('damaged_text', `Some bytes are no characters of ${encoding.toUpperCase()} and read as "\uFFFD"`);
  const [, front, body = text] = /^\ufeff?---\r?\n([\s\S]{0,20000}?)\r?\n---[^\S\n]*\r?\n([\s\S]*)$/.exec(text) ?? [];
  if (front !== undefined) {
    const value = (key: string): string | undefined => new RegExp(`^${key}:\\s*["']?(.+?)["']?\\s*$`, 'mi').exec(front)?.[1];
    out.describe({ title: value('title'), author: value('author') });
  }
  let tokens: Token[];
  try {
    tokens = new Lexer({ gfm: true }).lex(body);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    out.warn('nested_too_deep', 'It is nested too deep for Markdown and was read as plain text');
    putText(body, out);
    return;
  }
  putTokens(tokens as MarkedToken[], out, 0);
};

function putTokens(tokens: MarkedToken[], out: DocumentWriter, depth: number): void {
  for (const token of tokens) {
    if (token.type === 'heading') out.block('heading', inline(token), { level: token.depth });
    else if (token.type === 'code') out.block('code', token.text, { verbatim: true });
    else if (token.type === 'table') out.table([token.header, ...token.rows].map((cells) => cells.map((cell) => inline(cell))));
    else if (token.type === 'list') putList(token, out, depth);
    else if (token.type === 'blockquote') {
      if (depth < DEEPEST) putTokens(token.tokens as MarkedToken[], out, depth + 1);
      else out.block('quote', token.text);
    } else if (token.type === 'html') out.block('paragraph', withoutTags(token.text));
    else if (token.type === 'paragraph' || token.type === 'text') out.block('paragraph', inline(token));
  }
}

function putList(list: Tokens.List, out: DocumentWriter, depth: number): void {
  let number = typeof list.start === 'number' ? list.start : 1;
  for (const item of list.items) {
    const label = list.ordered ? `${number++}.` : item.task ? (item.checked === true ? '[x]' : '[ ]') : '-';
    const [first, ...rest] = item.tokens.filter(({ type }) => type !== 'space' && type !== 'checkbox') as MarkedToken[];
    if (first === undefined) continue;
    if (first.type === 'text' || first.type === 'paragraph') out.block('list_item', `${label} ${inline(first)}`);
    else rest.unshift(first);
    if (depth < DEEPEST) putTokens(rest, out, depth + 1);
    else out.block('list_item', item.text);
  }
}

const withoutTags = (text: string): string => text.replace(/<!--[\s\S]*?-->/g, '').replace(/<[^<>]*>/g, ' ');

/** Text of inline tokens; of a link its text and, where it says more, its address. */
function inline(token: { text: string; tokens?: Token[] | undefined }, depth = 0): string {
  if (!token.tokens || depth > DEEPEST) return token.text;
  return (token.tokens as MarkedToken[]).map((part): string => {
    switch (part.type) {
      case 'br': return '\n';
      case 'html': return withoutTags(part.text);
      case 'image': return part.text;
      case 'link': { const text = inline(part, depth + 1); return text === part.href || part.href.startsWith('#') || part.href === '' ? text : `${text} (${part.href})`; }
      case 'escape': return part.text;
      case 'codespan': return part.text;
      case 'strong': case 'em': case 'del': case 'text': return inline(part, depth + 1);
      default: return part.raw;
    }
  }).join('');
}
