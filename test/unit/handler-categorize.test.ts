import { describe, expect, test } from 'vitest';
import type { RowInput } from '../../src/contracts/row.ts';
import { canonicalJson } from '../../src/domain/hashing.ts';
import { categorize } from '../../src/handlers/categorize.ts';
import type { PreparedHandler } from '../../src/handlers/handler.ts';
import { parseOptions } from '../../src/handlers/index.ts';
import { handlerContext } from '../servers/handler-context.ts';

const prepare = async (options: object, columns = ['subject', 'message']): Promise<PreparedHandler> =>
  categorize.prepare(parseOptions(categorize, options), handlerContext({ columns }));

async function decide(options: object, input: RowInput): Promise<unknown> {
  const prepared = await prepare(options, Object.keys(input));
  const [outcome] = await prepared.handle([{ row: 2, key: 'k', inputHash: 'h', input }], new AbortController().signal);
  return outcome !== undefined && 'output' in outcome ? outcome.output : outcome;
}

const problem = async (options: object, columns?: string[]): Promise<unknown> => prepare(options, columns).then(() => 'nothing was thrown', (error: unknown) => error);
/** The keywords that are found in the text, each its own category. */
async function finds(keyword: string, text: string): Promise<boolean> {
  return ((await decide({ categories: [keyword], columns: ['text'] }, { text })) as { category: string | null }).category !== null;
}

describe('deciding', () => {
  const categories = { billing: ['invoice', 'refund', 'credit card'], shipping: 'parcel, delivery, late' };

  test('the category whose terms are found wins, and says which', async () => {
    expect(await decide({ categories }, { subject: 'Refund', message: 'My credit\n card was charged twice; the parcel is fine' }))
      .toEqual({ category: 'billing', confidence: 0.53, matched: ['refund', 'credit card'], scores: { billing: 2, shipping: 1 } });
  });

  test('confidence is 0.67 for one term alone and grows with more that agree', async () => {
    expect(await decide({ categories }, { subject: 'invoice' })).toMatchObject({ confidence: 0.67 });
    expect(await decide({ categories }, { subject: 'invoice refund' })).toMatchObject({ confidence: 0.8 });
    expect(await decide({ categories }, { subject: 'invoice parcel' })).toMatchObject({ confidence: 0.33 });
  });

  test('a term counts once a column, however often it stands there', async () => {
    expect(await decide({ categories }, { subject: 'late late late', message: 'late' })).toMatchObject({ scores: { shipping: 2 }, matched: ['late'] });
  });

  test('of equal scores the category that was given first wins', async () => {
    expect(await decide({ categories: ['zebra', 'ape'] }, { text: 'an ape and a zebra' })).toMatchObject({ category: 'zebra' });
    expect(await decide({ categories: ['ape', 'zebra'] }, { text: 'a zebra and an ape' })).toMatchObject({ category: 'ape' });
  });

  test('where nothing fits: null, or the default', async () => {
    const nothing = { confidence: 0, matched: [], scores: {} };
    expect(await decide({ categories }, { subject: 'hello', message: null })).toEqual({ category: null, ...nothing });
    expect(await decide({ categories, default: 'other' }, { subject: 'hello', message: '' })).toEqual({ category: 'other', ...nothing });
  });

  test('weights of columns and categories multiply', async () => {
    const row = { subject: 'parcel', message: 'invoice and refund' };
    expect(await decide({ categories, columns: { subject: 3, message: 1 } }, row)).toMatchObject({ category: 'shipping', scores: { billing: 2, shipping: 3 } });
    expect(await decide({ categories: [{ name: 'billing', keywords: 'invoice' }, { name: 'shipping', keywords: 'parcel', weight: 2.5 }] }, row))
      .toMatchObject({ category: 'shipping', scores: { billing: 1, shipping: 2.5 } });
  });

  test('columns that are not named are not read', async () => {
    const prepared = await prepare({ categories, columns: 'message' });
    expect(prepared.reads).toEqual(['message']);
    const [outcome] = await prepared.handle([{ row: 2, key: 'k', inputHash: 'h', input: { subject: 'invoice', message: 'hi' } }], new AbortController().signal);
    expect(outcome).toMatchObject({ output: { category: null } });
    expect((await prepare({ categories })).reads).toBeNull();
  });

  test('a call over very long cells lets go when it is aborted', async () => {
    const prepared = await prepare({ categories: ['x'] });
    const rows = Array.from({ length: 100 }, (_, index) => ({ row: index + 2, key: String(index), inputHash: 'h', input: { subject: 'lorem ipsum '.repeat(100_000), message: null } }));
    const stop = new AbortController();
    const call = prepared.handle(rows, stop.signal).then(() => 'finished', (error: unknown) => error);
    const reason = new Error('cancelled');
    stop.abort(reason);
    expect(await call).toBe(reason);
  });

  test('numbers and booleans are read as text', async () => {
    expect(await decide({ categories: ['42', 'true'] }, { n: 42, b: false })).toMatchObject({ category: '42' });
  });

  test('every row of a call gets its own outcome, in order', async () => {
    const prepared = await prepare({ categories });
    const rows = ['late', 'nothing', 'invoice'].map((subject, index) => ({ row: index + 2, key: String(index), inputHash: 'h', input: { subject, message: null } }));
    const outcomes = await prepared.handle(rows, new AbortController().signal);
    expect(outcomes.map((outcome) => 'output' in outcome && (outcome.output as { category: string | null }).category)).toEqual(['shipping', null, 'billing']);
  });
});

describe('keywords', () => {
  const found: [string, string][] = [
    ['café', 'Un CAFÉ, s\'il vous plaît'], ['café', 'cafe\u0301 noir'], ['Straße', 'HAUPTSTRASSE STRASSE 5'], ['ΟΔΟΣ', 'η οδός οδος'],
    ['e-mail', 'my E\u2011Mail'], ['don\'t', 'I Don’t know'], ['user', 'the user\'s name'], ['abonnement', 'mon d’abonnement'], ['mail', 'e-mail'],
    ['credit card', 'CREDIT \t\n card'], ['c++', 'I write C++ daily'], ['.net', 'the .NET runtime'], ['42', 'room 42'], ['refund', 'refund!'], ['refund', '(refund)'],
    ['退款', '我想要退款谢谢'], ['返品', 'この商品を返品したい'], ['iphone', '我的iPhone坏了'], ['ｆａｘ', 'fax'], ['คืนเงิน', 'ขอคืนเงินด้วย'],
    ['חשבונית', 'קיבלתי חשבונית שגויה'], ['חשבונית', 'החשבונית שגויה'], ['חשבונית', 'אין צורך בחשבונית'], ['שלום', 'שָׁלוֹם לכם'], ['צ\'ק', 'שלחתי צ׳ק'], ['ארה"ב', 'משלוח לארה״ב'],
    ['🎉', 'done🎉done'], ['возврат', 'ВОЗВРАТ денег'], ['مرحبا', 'مَرْحَبًا بكم'.normalize('NFC')],
  ];
  test.each(found)('%s is found in: %s', async (keyword, text) => expect(await finds(keyword, text)).toBe(true));

  const absent: [string, string][] = [
    ['late', 'translate the plate'], ['card', 'cardboard'], ['42', '1422'], ['cafe', 'café'], ['refund', 'refund_id'], ['art', 'start'], ['über', 'darüber'],
    ['e-mail', 'email'], ['בית', 'ביתיים'], ['חשבונית', 'בדיקתחשבונית'], ['возврат', 'невозврат'], ['credit card', 'credit my card'], ['a', 'a𝒳'], ['a', '𝒳a'],
  ];
  test.each(absent)('%s is not found in: %s', async (keyword, text) => expect(await finds(keyword, text)).toBe(false));

  test('one keyword inside and one across another are all found', async () => {
    expect(await decide({ categories: [{ name: 'x', keywords: ['credit', 'credit card', 'card number', 'card'] }] }, { text: 'credit card number' }))
      .toMatchObject({ matched: ['credit', 'credit card', 'card', 'card number'] });
    expect(await decide({ categories: { a: ['退款'], b: ['我要退款了', '要退'] } }, { text: '我要退款' })).toMatchObject({ scores: { a: 1, b: 1 } });
  });

  test('a keyword that two categories share counts for both', async () => {
    expect(await decide({ categories: { a: 'pay, now', b: 'pay' } }, { text: 'pay now' })).toMatchObject({ category: 'a', scores: { a: 2, b: 1 } });
  });

  test('spellings of one keyword count once', async () => {
    expect(await decide({ categories: { a: ['Refund', 'refund', 'REFUND'] } }, { text: 'refund' })).toMatchObject({ scores: { a: 1 }, matched: ['Refund'] });
  });

  test('thousands of keywords: each is found by a plain search as well, and no other', async () => {
    const letters = ['ab', 'ba', 'aab', 'c', 'ca', 'bb'];
    const keywords = Array.from({ length: 3000 }, (_, n) => [0, 1, 2, 3, 4].map((place) => letters[Math.floor(n / 6 ** place) % 6]!).join(''));
    const distinct = [...new Set(keywords)];
    const words = Array.from({ length: 400 }, (_, n) => `${distinct[(n * 37) % distinct.length]}${n % 3 === 0 ? 'z' : ''}`);
    const output = await decide({ categories: { all: distinct } }, { text: words.join(' ') }) as { matched: string[] };
    const expected = new Set(words.filter((word) => distinct.includes(word)));
    expect(new Set(output.matched)).toEqual(expected);
  });
});

describe('patterns', () => {
  test('are found anywhere, whatever the case, and named between slashes', async () => {
    expect(await decide({ categories: [{ name: 'order', patterns: ['order\\s*#\\d{4,}'] }] }, { text: 'My ORDER #12345 is gone' }))
      .toEqual({ category: 'order', confidence: 0.67, matched: ['/order\\s*#\\d{4,}/'], scores: { order: 1 } });
  });

  test('alone they replace the name as keyword; beside keywords both count', async () => {
    expect(await decide({ categories: [{ name: 'order', patterns: ['\\d+'] }] }, { text: 'order' })).toMatchObject({ category: null });
    expect(await decide({ categories: [{ name: 'o', keywords: ['order'], patterns: ['\\d+'] }] }, { text: 'order 5' })).toMatchObject({ scores: { o: 2 } });
  });

  test('one that would hang a backtracking engine answers', async () => {
    expect(await decide({ categories: [{ name: 'x', patterns: ['^(a+)+$', '(.*a){20}!'] }] }, { text: `${'a'.repeat(50_000)}b` })).toMatchObject({ category: null });
  });

  test.each([['(', 'missing closing )'], ['a**', 'nested repetition'], ['(?=x)', 'Perl syntax'], ['x{0,1000}y{0,1000}', 'too complex']])('%s is refused by name', async (pattern, why) => {
    expect(await problem({ categories: [{ name: 'fine' }, { name: 'orders', patterns: ['ok', pattern] }] })).toMatchObject({
      code: 'invalid_options',
      message: expect.stringMatching(new RegExp(`"orders".*"${pattern.replace(/\W/g, '\\$&')}".*${why.replace(/\W/g, '\\$&')}`)),
      place: { field: 'options.categories.1.patterns.1' },
    });
  });
});

describe('options', () => {
  test('the forms of the same categories are the same handler', async () => {
    const forms = [
      { categories: 'billing, shipping' },
      { categories: ['billing', ' shipping '] },
      { categories: { billing: ['billing'], shipping: 'shipping' } },
      { categories: [{ name: 'billing' }, { name: 'shipping', description: 'All about parcels', keywords: 'shipping', weight: 1 }] },
      { categories: ['billing', { name: 'shipping', examples: ['Where is my parcel?'] }] },
    ];
    const identities = await Promise.all(forms.map(async (form) => canonicalJson((await prepare(form)).identity)));
    expect(new Set(identities).size).toBe(1);
  });

  test('whatever changes an output changes the identity', async () => {
    const forms = [
      { categories: 'a, b' }, { categories: 'b, a' }, { categories: 'a, b', default: 'a' }, { categories: 'a, b', columns: 'subject' },
      { categories: 'a, b', columns: { subject: 2 } }, { categories: { a: 'x', b: 'b' } }, { categories: [{ name: 'a', weight: 2 }, 'b'] },
      { categories: [{ name: 'a', keywords: 'a', patterns: ['x'] }, 'b'] },
    ];
    const identities = await Promise.all(forms.map(async (form) => canonicalJson((await prepare(form)).identity)));
    expect(new Set(identities).size).toBe(forms.length);
  });

  test('the order and form in which columns are named change nothing', async () => {
    const [first, ...others] = await Promise.all([['subject', 'message'], ['message', 'subject'], 'message, subject', { message: 1, subject: 1 }]
      .map(async (columns) => canonicalJson((await prepare({ categories: 'a', columns })).identity)));
    for (const other of others) expect(other).toBe(first);
  });

  test('a column that the sheet does not have is refused with those that it has', async () => {
    expect(await problem({ categories: 'a', columns: ['mesage'] })).toMatchObject({
      code: 'column_missing', message: expect.stringContaining('did you mean "message"'), remedy: expect.stringContaining('"subject", "message"'), place: { column: 'mesage' },
    });
  });

  const wrong: [string, object, string][] = [
    ['no categories', {}, 'categories: expected string or array or object'],
    ['an empty list', { categories: [] }, 'at least one category'],
    ['a name twice', { categories: ['a', 'b', 'a'] }, 'categories.2: there are two categories "a"'],
    ['a field that does not exist', { categories: [{ name: 'a', keyword: 'x' }] }, 'there is no option "keyword" in categories.0'],
    ['a category without a name', { categories: [{ keywords: 'x' }] }, 'categories.0.name'],
    ['keywords that are no text', { categories: { a: ['x'], b: 5 } }, 'categories.b'],
    ['a weight of nothing', { categories: 'a', columns: { x: 0 } }, 'columns.x'],
    ['an unknown option', { categories: 'a', provider: 'magic' }, 'provider'],
    ['what is for a model without one', { categories: 'a', rowsPerRequest: 5 }, 'rowsPerRequest: is for a model'],
  ];
  test.each(wrong)('%s', async (_name, options, message) => {
    expect(await problem(options)).toMatchObject({ code: 'invalid_options', message: expect.stringContaining(message) });
  });
});
