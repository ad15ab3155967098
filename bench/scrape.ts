/** Web pages a minute and sheet, three sheets at once, from a site of the bench's own under many host names: what Sheaf takes, not what the web does. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { page, startSite } from '../test/servers/site/server.ts';
import { median } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { benchStack } from './stack.ts';

const SHEETS = 3;
const ROWS = 500;
/** Addresses of this machine, each a host of its own. */
const HOSTS = 40;
const LATENCY_MS = 100;
const PARAGRAPHS = 40;

const article = (id: string): string => `<!doctype html><html lang="en"><head><title>Page ${id}</title><meta name="description" content="All about ${id}"></head><body>
<nav>${'<a href="/x">Elsewhere</a> '.repeat(30)}</nav><article><h1>Page ${id}</h1>${`<p>Page ${id} says at some length what a page of its kind would say, in plain words, and with a <a href="/y">link</a> here and there.
It goes on for a while, so that it is about as long as articles are, and the reader has something to tell apart from what stands around it.</p>\n`.repeat(PARAGRAPHS)}</article>
<aside>${'<div class="ad">Buy this</div>'.repeat(30)}</aside></body></html>`;

export async function scrape({ folder, rounds, scale, say }: Setting): Promise<Measure> {
  const rows = Math.max(50, Math.round(ROWS * scale));
  const site = await startSite();
  const stack = await benchStack(folder, 'stack', folder, { SHEAF_ALLOWED_HOSTS: '127.0.0.0/8' });
  const rates: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      const sheets = await Promise.all(Array.from({ length: SHEETS }, async (_, sheet) => {
        const file = path.join(folder, `pages-${round}-${sheet}.csv`);
        const links = Array.from({ length: rows }, (_, row) => {
          const at = `/${round}/${sheet}/${row}`;
          site.pages.set(at, (...asked) => void setTimeout(() => page(article(at))(...asked), LATENCY_MS));
          return `${row},http://127.0.0.${2 + (row % HOSTS)}:${site.port}${at}`;
        });
        await writeFile(file, `id,link\n${links.join('\n')}\n`);
        return file;
      }));
      const runs = await Promise.all(sheets.map((file, sheet) =>
        stack.run({ source: { path: file }, sourceId: `sheet-${round}-${sheet}`, handler: { name: 'scrape', options: { url: 'link' } }, keyColumns: ['id'] })));
      rates.push(...runs.map(({ seconds }) => (rows / seconds) * 60));
      say(runs.map(({ seconds }) => `${Math.round((rows / seconds) * 60)} rows a minute`).join(', '));
    }
  } finally {
    delete process.env['SHEAF_ALLOWED_HOSTS'];
    await stack.stop();
    await site.close();
  }
  const least = Math.min(...rates);
  return {
    title: `${SHEETS} sheets of ${rows} web pages at once, ${Math.round(article('x').length / 1024)} KB each after ${LATENCY_MS} ms, ${HOSTS} hosts`,
    figures: [{ what: 'rows a minute, the slowest sheet', measured: String(Math.round(least)), budget: '≥ 500', held: least >= 500 }],
    details: { rates: rates.map(Math.round), median: Math.round(median(rates)) },
  };
}
