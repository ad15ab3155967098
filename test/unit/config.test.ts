import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ZodError } from 'zod';
import { environmentSchema, isSecret, readConfig } from '../../src/config.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'sheaf-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, content: string): string => {
  const at = path.join(folder, name);
  writeFileSync(at, content);
  return at;
};

/** What is wrong, by variable. */
function problems(environment: Record<string, string>): Record<string, string> {
  try {
    readConfig(environment);
    return {};
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    return Object.fromEntries(error.issues.map(({ path: [variable], message }) => [String(variable), message]));
  }
}

const elasticsearch = { SHEAF_STORE: 'elasticsearch', ELASTICSEARCH_URL: 'https://one:9200' };

describe('the configuration', () => {
  test('without any variable is the embedded stack', () => {
    expect(readConfig({})).toMatchObject({ SHEAF_STORE: 'sqlite', SHEAF_BLOBS: 'filesystem', SHEAF_ELASTICSEARCH_PREFIX: 'sheaf' });
  });

  test('takes an empty variable as unset, as compose files pass them', () => {
    expect(readConfig({ S3_ENDPOINT: '', ELASTICSEARCH_CLOUD_ID: '', SHEAF_API_PORT: '' })).toMatchObject({ SHEAF_API_PORT: 8088 });
  });

  test('names what a chosen store is missing', () => {
    expect(problems({ SHEAF_STORE: 'elasticsearch' })['ELASTICSEARCH_URL']).toContain('SHEAF_STORE=elasticsearch needs ELASTICSEARCH_URL');
    expect(problems({ SHEAF_BLOBS: 's3' })['S3_BUCKET']).toContain('SHEAF_BLOBS=s3 needs S3_BUCKET');
    expect(problems({ ...elasticsearch, ELASTICSEARCH_USERNAME: 'elastic' })).toHaveProperty('ELASTICSEARCH_PASSWORD');
    expect(problems({ ...elasticsearch, ELASTICSEARCH_PASSWORD: 'x' })).toHaveProperty('ELASTICSEARCH_USERNAME');
    expect(problems({ ...elasticsearch, ELASTICSEARCH_CLOUD_ID: 'x' })).toHaveProperty('ELASTICSEARCH_CLOUD_ID');
    expect(problems({ S3_SSE_KMS_KEY_ID: 'key' })).toHaveProperty('S3_SSE');
  });

  test('reads several nodes from one variable', () => {
    expect(readConfig({ ...elasticsearch, ELASTICSEARCH_URL: 'https://one:9200, https://two:9200' }).ELASTICSEARCH_URL).toEqual(['https://one:9200', 'https://two:9200']);
  });

  test.each([
    { ELASTICSEARCH_URL: 'localhost:9200' }, { ELASTICSEARCH_URL: ',' }, { SHEAF_ELASTICSEARCH_PREFIX: 'Team A' }, { S3_ENDPOINT: 'minio:9000' },
    { S3_FORCE_PATH_STYLE: 'perhaps' }, { S3_PREFIX: '/files' }, { S3_SSE: 'AES128' }, { SHEAF_STORE: 'mongo' },
  ])('refuses %o', (environment) => {
    expect(Object.keys(problems(environment))).toEqual(Object.keys(environment));
  });

  test('takes path style as true and false in words', () => {
    expect([readConfig({ S3_FORCE_PATH_STYLE: 'true' }), readConfig({ S3_FORCE_PATH_STYLE: '0' })].map((config) => config.S3_FORCE_PATH_STYLE)).toEqual([true, false]);
  });
});

describe('secrets', () => {
  test('come from files as well, without the line end', () => {
    const environment = { ...elasticsearch, ELASTICSEARCH_USERNAME: 'sheaf', ELASTICSEARCH_PASSWORD_FILE: file('password', 'geheim\n') };
    expect(readConfig(environment).ELASTICSEARCH_PASSWORD).toBe('geheim');
    expect(readConfig({ ...elasticsearch, ELASTICSEARCH_API_KEY_FILE: file('key', 'a2V5') }).ELASTICSEARCH_API_KEY).toBe('a2V5');
  });

  test('in files that are absent, empty, or set beside the variable are refused by name', () => {
    const refused = (environment: Record<string, string>): string | undefined => problems({ ...elasticsearch, ...environment })['ELASTICSEARCH_API_KEY_FILE'];
    expect(refused({ ELASTICSEARCH_API_KEY_FILE: path.join(folder, 'none') })).toContain('cannot be read (ENOENT)');
    expect(refused({ ELASTICSEARCH_API_KEY_FILE: file('empty', '\n') })).toContain('is empty');
    expect(refused({ ELASTICSEARCH_API_KEY_FILE: file('key', 'a2V5'), ELASTICSEARCH_API_KEY: 'b' })).toContain('set one of them');
  });

  test('in an address are refused, and not repeated', () => {
    const found = problems({ ...elasticsearch, ELASTICSEARCH_URL: 'https://elastic:geheim@one:9200' });
    expect(Object.keys(found)).toEqual(['ELASTICSEARCH_URL']);
    expect(JSON.stringify(found)).not.toContain('geheim');
  });

  test('are told from other variables by name', () => {
    expect(Object.keys(environmentSchema.shape).filter(isSecret)).toEqual(
      ['SHEAF_MODEL_API_KEY', 'OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY', 'ELASTICSEARCH_API_KEY', 'ELASTICSEARCH_PASSWORD', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']);
  });
});
