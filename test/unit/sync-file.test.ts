import { describe, expect, test } from 'vitest';
import { parseSyncFile } from '../../src/cli/sync-file.ts';

const parse = (text: string, environment?: string) => parseSyncFile(text, '/team/sync.yaml', environment);
function mistakes(text: string, environment?: string): string[] {
  try {
    parse(text, environment);
  } catch (error) {
    const { problem, exitCode } = error as { problem: { message: string; errors?: { path: string; message: string }[] }; exitCode: number };
    expect(exitCode).toBe(2);
    return problem.errors?.map(({ path, message }) => `${path}: ${message}`) ?? [problem.message];
  }
  throw new Error('It was taken.');
}

test("a bare list of sources, as the tool's users have it, works as it is", () => {
  const { sources } = parse(`
- id: "oral-knowledge-spreadsheet"
  name: "ידע שבעל פה (Oral Knowledge)"
  description: "ידע שבעל פה על עבודת הכנסת והתקנון"
  type: "spreadsheet"
  spreadsheet_config:
    url: "https://docs.google.com/spreadsheets/d/1fEgiCLNMQQZqBgQFlkABXgke8I2kI1i1XUvj8Yba9Ow/edit?gid=0#gid=0"
    sheet_name: "תושב״ע"
    range: "A1:Z1000"
    use_adc: true
  versioning_strategy: "timestamp"
  fetch_strategy: "async"  # Must be "async" for background processing
  fetch_interval: 3600  # 1 hour
  enabled: true
  priority: 1
  tags: ["משפטי", "ידע-בעל-פה", "google-spreadsheet"]
`);
  expect(sources).toEqual([{
    id: 'oral-knowledge-spreadsheet', name: 'ידע שבעל פה (Oral Knowledge)', tags: ['משפטי', 'ידע-בעל-פה', 'google-spreadsheet'], enabled: true, fetch: 'async',
    body: {
      source: { spreadsheet: 'https://docs.google.com/spreadsheets/d/1fEgiCLNMQQZqBgQFlkABXgke8I2kI1i1XUvj8Yba9Ow/edit?gid=0#gid=0', useAdc: true },
      sheet: 'תושב״ע', range: 'A1:Z1000', handler: 'store', keyColumns: [], tags: ['משפטי', 'ידע-בעל-פה', 'google-spreadsheet'], enabled: true, fetch: 'async',
      name: 'ידע שבעל פה (Oral Knowledge)', description: 'ידע שבעל פה על עבודת הכנסת והתקנון', set: 'sync.yaml', environment: null,
      priority: 'urgent', versioning: 'timestamp', schedule: { every: 3600 }, deletes: {},
    },
  }]);
});

test('defaults hold for every source that says nothing else, and the environment names credentials', () => {
  const { sources: [first, second] } = parse(`
defaults:
  fetch_interval: 600
  key_columns: [id]
  deletes: {mode: keep}
  spreadsheet_config: {credentials: bot}
environments:
  staging: {endpoint: "http://staging:8088", credentials: {bot: staging-bot}}
sources:
  - {id: a, spreadsheet_config: {url: u1}}
  - {id: b, spreadsheet_config: {url: u2}, cron: "0 6 * * *", time_zone: Asia/Jerusalem, key_columns: [], deletes: {max_fraction: 0.5}, max_cost: 2.5}
`, 'staging');
  expect(first!.body).toMatchObject({ schedule: { every: 600 }, keyColumns: ['id'], deletes: { mode: 'keep' }, source: { spreadsheet: 'u1', credentials: 'staging-bot' }, environment: 'staging' });
  expect(second!.body).toMatchObject({ schedule: { cron: '0 6 * * *', timeZone: 'Asia/Jerusalem' }, keyColumns: [], deletes: { mode: 'keep', maxFraction: 0.5 }, maxCost: 2.5 });
  expect(first!.body).not.toHaveProperty('maxCost');
  expect(mistakes('- {id: a, spreadsheet_config: {url: u}, max_cost: 0}')).toEqual([expect.stringMatching(/^sync.yaml:1: .*max_cost/)]);
});

test('paths are those beside the file', () => {
  expect(parse('sources: [{id: a, spreadsheet_config: {path: sheets/a.csv}}]').sources[0]!.body.source).toEqual({ path: '/team/sheets/a.csv' });
});

describe('mistakes', () => {
  test('are all told, each with its line and what was probably meant', () => {
    expect(mistakes(`defaults:
  fetch_intervall: 60
sources:
  - id: דנה
    spreadsheet_config: {path: x.csv, sheetname: a}
  - id: b
    deletes:
      mode: drop
    key_colums: [a]
    spreadsheet_config: {path: x.csv}
`)).toEqual([
      'sync.yaml:2: there is no fetch_intervall; did you mean fetch_interval?',
      'sync.yaml:4: sources.id: expected letters, digits, ".", "_" and "-", at most 128: `name` may be in any script',
      'sync.yaml:5: there is no sheetname; did you mean sheet_name?',
      expect.stringMatching(/^sync\.yaml:8: sources\.deletes\.mode: /),
      'sync.yaml:9: there is no key_colums; did you mean key_columns?',
    ]);
  });

  test('of a bare list have their lines, too', () => {
    expect(mistakes('- id: a\n  spreadsheet_config: {path: x}\n  tgas: []\n')).toEqual(['sync.yaml:3: there is no tgas; did you mean tags?']);
  });

  test('that only show together are told where they are', () => {
    expect(mistakes(`sources:
  - {id: a, spreadsheet_config: {path: x}}
  - {id: a, spreadsheet_config: {path: x}}
  - {id: c}
  - id: d
    spreadsheet_config: {path: x, url: y}
  - id: e
    spreadsheet_config: {path: x}
    fetch_interval: 60
    cron: "* * * * *"
`)).toEqual([
      'sync.yaml:3: the id a is that of the source in line 2, too',
      'sync.yaml:4: source c: spreadsheet_config needs url or path',
      'sync.yaml:6: source d: spreadsheet_config has url and path: give one of them',
      'sync.yaml:10: source e: fetch_interval and cron are given: give one of them',
    ]);
  });

  test('of YAML itself have their line', () => {
    expect(mistakes('sources:\n  - id: "a\n')[0]).toMatch(/^sync\.yaml:\d+: /);
  });

  test('in the name of an environment are told with the nearest', () => {
    expect(mistakes('environments: {production: {}}\nsources: []', 'prodction')).toEqual(['/team/sync.yaml has no environment prodction.']);
  });
});
