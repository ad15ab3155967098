/** `categorize` with a model, and `extract`: what the model is asked, and what becomes of its answers. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Json, RowInput } from '../../src/contracts/row.ts';
import { canonicalJson } from '../../src/domain/hashing.ts';
import type { HandledOutcome, PreparedHandler } from '../../src/handlers/handler.ts';
import { findHandler, parseOptions, workOf } from '../../src/handlers/index.ts';
import { handlerContext } from '../servers/handler-context.ts';
import { modelsAt, rowModelsAt } from '../servers/model/models.ts';
import { modelServer, type ModelServer } from '../servers/model/server.ts';

let server: ModelServer;
beforeAll(async () => {
  server = await modelServer();
});
afterEach(() => {
  Object.assign(server, { asked: [], failing: [], paid: 0 });
});
afterAll(() => server.close());

const model = 'anthropic:claude-sonnet-4-5';
const prepare = async (name: string, options: object, columns = ['Title', 'Text', 'Price']): Promise<PreparedHandler> => {
  const handler = findHandler(name);
  return handler.prepare(parseOptions(handler, { model, ...options }), handlerContext({ columns, models: rowModelsAt(modelsAt(server.url)) }));
};
const problem = (name: string, options: object): Promise<unknown> => prepare(name, options).then(() => 'nothing was thrown', (error: unknown) => error);

async function handle(name: string, options: object, ...inputs: RowInput[]): Promise<HandledOutcome[]> {
  const prepared = await prepare(name, options);
  return prepared.handle(inputs.map((input, index) => ({ row: index + 2, key: String(index), inputHash: 'h', input })), new AbortController().signal);
}

const row = { Title: 'Late parcel', Text: 'Where is it?', Price: null };
const categories = [{ name: 'shipping', description: 'All about parcels', examples: ['My parcel is late'] }, 'billing'];

describe('categorize with a model', () => {
  test('tells it the categories, shows it the row as data, and gives category, confidence and reason', async () => {
    server.says = JSON.stringify({ reason: 'It asks for a parcel.', category: 'shipping', confidence: 0.9 });
    expect(await handle('categorize', { categories }, row)).toMatchObject([{ output: { category: 'shipping', confidence: 0.9, reason: 'It asks for a parcel.' }, tokens: 15, cost: null }]);
    const { system, prompt } = server.asked[0]!;
    expect(system).toMatch(/"shipping": All about parcels\n {4}for example: "My parcel is late"\n- "billing"/);
    expect(prompt).toBe('<data>{"Title":"Late parcel","Text":"Where is it?"}</data>');
  });

  test('takes the default where none fits, and no category that is not on the list', async () => {
    server.says = JSON.stringify({ reason: 'x', category: 'none', confidence: 0.2 });
    expect(await handle('categorize', { categories: 'a, b', default: 'other' }, row)).toMatchObject([{ output: { category: 'other' } }]);
    expect(await handle('categorize', { categories: 'a, none' }, row)).toMatchObject([{ output: { category: 'none' } }]);
    server.says = JSON.stringify({ reason: 'x', category: 'weather', confidence: 0.2 });
    expect(await handle('categorize', { categories: 'a, b' }, row)).toMatchObject([{ error: { code: 'invalid_output', raw: expect.stringContaining('weather') } }]);
  });

  test('gives several where several are asked for', async () => {
    server.says = JSON.stringify({ reason: 'Both.', categories: ['b', 'a', 'b'], confidence: 1 });
    expect(await handle('categorize', { categories: 'a, b', multiple: true }, row)).toMatchObject([{ output: { categories: ['b', 'a'], confidence: 1 } }]);
    server.says = JSON.stringify({ reason: 'Neither.', categories: [], confidence: 1 });
    expect(await handle('categorize', { categories: 'a, b', multiple: true, default: 'other' }, row)).toMatchObject([{ output: { categories: ['other'] } }]);
  });

  test('reads the columns that its instructions name; what is in them stays out of the instructions', async () => {
    server.says = JSON.stringify({ reason: 'x', category: 'a', confidence: 1 });
    const options = { categories: 'a, b', instructions: 'Go by {{ Title }} alone.' };
    expect((await prepare('categorize', options)).reads).toEqual(['Title']);
    expect((await prepare('categorize', { ...options, columns: 'Price' })).reads).toEqual(['Title', 'Price']);
    await handle('categorize', options, row);
    expect(server.asked[0]).toMatchObject({ system: expect.stringContaining('Go by the field "Title" alone.'), prompt: '<data>{"Title":"Late parcel"}</data>' });
  });

  test('is refused before anything is paid where a column or the model is missing', async () => {
    expect(await problem('categorize', { categories: 'a', instructions: 'Look at {{Titel}}' })).toMatchObject({ code: 'column_missing', message: expect.stringContaining('did you mean "Title"'), place: { field: 'options.instructions', column: 'Titel' } });
    expect(await problem('categorize', { categories: 'a', model: 'anthropc:x' })).toMatchObject({ code: 'model_unknown' });
    expect(server.asked).toEqual([]);
  });

  test('is other work than with keywords, and another handler where anything that it goes by differs', async () => {
    const forms = [{}, { model: 'openai:gpt-5' }, { instructions: 'x' }, { multiple: true }, { default: 'a' }, { columns: 'Title' }, { categories: 'b, a' }];
    const identities = await Promise.all(forms.map(async (form) => {
      const { identity, reads } = await prepare('categorize', { categories: 'a, b', ...form });
      return canonicalJson([identity, reads] as Json);
    }));
    expect(new Set(identities).size).toBe(forms.length);
    expect((await prepare('categorize', { categories: 'a, b', rowsPerRequest: 5 })).batchSize).toBe(5);
    const handler = findHandler('categorize');
    expect([workOf(handler, { model }), workOf(handler, {})]).toEqual(['costly', 'cheap']);
  });
});

describe('extract', () => {
  const said = { brand: 'Acme', price: 9.5 };

  test.each<[string, object]>([
    ['a text', { fields: 'brand, price:number' }],
    ['a map', { fields: { brand: 'text', price: 'number' } }],
    ['a list', { fields: ['brand', { name: 'price', type: 'number', description: 'In euros' }] }],
    ['a JSON Schema', { schema: { properties: { brand: { type: 'string' }, price: { type: 'number' } }, required: ['brand', 'price'] } }],
  ])('takes its fields as %s', async (_form, options) => {
    server.says = JSON.stringify(said);
    expect(await handle('extract', { ...options, instructions: 'In {{Text}}' }, row)).toMatchObject([{ output: said }]);
    server.says = JSON.stringify({ ...said, price: 'cheap' });
    expect(await handle('extract', options, { ...row, Text: 'Else' })).toMatchObject([{ error: { code: 'invalid_output', message: expect.stringContaining('price') } }]);
  });

  test('leaves null what a row does not tell, and takes a date only as one', async () => {
    server.says = JSON.stringify({ day: null });
    expect(await handle('extract', { fields: 'day:date' }, row)).toMatchObject([{ output: { day: null } }]);
    server.says = JSON.stringify({ day: 'yesterday' });
    expect(await handle('extract', { fields: 'day:date' }, row)).toMatchObject([{ error: { code: 'invalid_output' } }]);
  });

  test.each<[string, object, string]>([
    ['nothing to fill in', {}, 'give either fields or a schema'],
    ['both', { fields: 'a', schema: {} }, 'give either fields or a schema'],
    ['no field', { fields: [] }, 'at least one field'],
    ['a field twice', { fields: 'a, a' }, 'two fields have the same name'],
    ['a type that there is not', { fields: 'a:colour' }, 'fields'],
    ['a schema that is none', { schema: { properties: { a: { type: 'colour' } } } }, 'schema of the output'],
    ['a schema that points elsewhere', { schema: { properties: { a: { $ref: 'https://example.com/a.json' } } } }, 'schema of the output'],
  ])('refuses %s', async (_what, options, message) => {
    expect(await problem('extract', options)).toMatchObject({ code: 'invalid_options', message: expect.stringContaining(message) });
  });
});
