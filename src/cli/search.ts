/** `sheaf search`: rows and passages by their words, with the words marked. */
import { type Command, Option } from 'commander';
import type { HitAnswer, PassageHitAnswer, SearchHitAnswer } from '../contracts/search-api.ts';
import { listUpTo } from './client.ts';
import { contextOf } from './context.ts';
import { wrongUsage } from './failure.ts';
import { isolate, printable } from './format.ts';
import { atLeastOne, collect } from './job-create.ts';
import type { Terminal } from './terminal.ts';

/** As the API has it. */
const MOST_PER_PAGE = 100;
/** Characters shown of a row of which the API marks nothing. */
const LENGTH = 160;

interface SearchOptions {
  kind?: string;
  source?: string;
  lane?: string;
  job?: string;
  tag?: string[];
  state?: string;
  since?: string;
  until?: string;
  limit: number;
}

export function addSearch(program: Command): void {
  searching(program.command('search <words...>')
    .description('find rows and passages of documents by their words')
    .addOption(new Option('--kind <kind>', 'only rows, or only passages').choices(['item', 'passage']))
    .option('--source <id>', 'only rows of this source')
    .option('--lane <name>', 'only rows of this lane')
    .option('--job <id>', 'only rows that this job wrote last')
    .addOption(new Option('--state <state>', 'only rows in this state').choices(['done', 'failed'])));
}

export function addPassageSearch(doc: Command): void {
  searching(doc.command('search <words...>').description('find passages of documents by their words'), 'passage');
}

function searching(command: Command, kind?: 'passage'): void {
  command
    .option('--tag <tag>', 'only what a job with this tag wrote last (repeatable: with all of them)', collect)
    .option('--since <time>', 'only what was written last on this day or at this time, or later: 2026-11-01, 2026-11-01T10:00:00Z')
    .option('--until <time>', 'only what was written last before this day or time')
    .option('--limit <n>', 'at most so many', atLeastOne, 20)
    .addHelpText('after', '\nAll words must occur, none with a minus before it. Words in quotes must stand in this order; keep the quotes from the shell:\n  sheaf search refund -october \'"card declined"\'')
    // `-october` is a word to leave out.
    .allowUnknownOption()
    .action(async (words: string[], { limit, ...query }: SearchOptions, command: Command) => {
      const unknown = words.find((word) => /^--\w/.test(word));
      if (unknown !== undefined) throw wrongUsage(`There is no option ${unknown}.`, '--help shows those that there are.');
      const { client, terminal, signal } = contextOf(command);
      const hits = await listUpTo<HitAnswer>(client, '/search', limit, { query: { q: words.join(' '), ...(kind !== undefined && { kind }), ...query }, signal }, MOST_PER_PAGE);
      if (terminal.json) return terminal.printJson(hits);
      if (hits.items.length === 0) return terminal.note('Nothing found.');
      for (const hit of hits.items) {
        if (hit.kind === 'item') printHit(terminal, hit);
        else printPassage(terminal, hit);
      }
      if (hits.nextCursor !== null) terminal.note('There are more; --limit shows them.');
    });
}

function printHit(terminal: Terminal, { source, lane, key, row, state, error, input, highlights }: SearchHitAnswer): void {
  const of = [source, lane].map((name) => isolate(printable(name))).join('/');
  const why = error === undefined ? state : `${state} (${printable(error.code)})`;
  terminal.print([terminal.paint('cyan', of), isolate(printable(key).slice(0, LENGTH)), terminal.paint('dim', `row ${row}`), terminal.paint(state === 'failed' ? 'red' : 'green', why)].join('  '));
  printHighlights(terminal, highlights);
  if (highlights.length === 0) {
    const cells = Object.values(input).filter((cell) => cell !== null).join(' ');
    terminal.print(`  ${isolate(printable(cells.slice(0, LENGTH)))}`);
  }
}

function printPassage(terminal: Terminal, { document, file, pages, headings, text, highlights }: PassageHitAnswer): void {
  const where = pages === null ? '' : pages[0] === pages[1] ? `page ${pages[0]}` : `pages ${pages[0]}–${pages[1]}`;
  terminal.print([terminal.paint('cyan', isolate(printable(file))), document, terminal.paint('dim', where), isolate(printable(headings.at(-1) ?? '').slice(0, LENGTH))].filter(Boolean).join('  '));
  printHighlights(terminal, highlights);
  if (highlights.length === 0) terminal.print(`  ${isolate(printable(text.slice(0, LENGTH)))}`);
}

function printHighlights(terminal: Terminal, highlights: HitAnswer['highlights']): void {
  for (const { name, parts } of highlights) {
    // Marked part by part, isolated as one: right-to-left text keeps its order across the marks.
    const plain = printable(parts.map(({ text }) => text).join(''));
    const marked = parts.map(({ text, match }) => (match ? terminal.paint('bold', printable(text)) : printable(text))).join('');
    terminal.print(`  ${terminal.paint('dim', `${isolate(printable(name))}:`)} ${isolate(plain) === plain ? marked : `\u2068${marked}\u2069`}`);
  }
}
