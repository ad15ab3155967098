import path from 'node:path';
import { expect, test } from 'vitest';
import { environmentSchema, readConfig } from '../../src/config.ts';

test('everything has a default, and the API is on loopback', () =>
  expect(readConfig({})).toMatchObject({
    SHEAF_HOME: path.resolve('.sheaf'), SHEAF_API_HOST: '127.0.0.1', SHEAF_API_PORT: 8088, SHEAF_TEMPORAL_PORT: 7233,
    SHEAF_TEMPORAL_NAMESPACE: 'default', SHEAF_STORE: 'sqlite', SHEAF_BLOBS: 'filesystem', SHEAF_INPUT_DIRS: [process.cwd()], SHEAF_LOG_LEVEL: 'info',
  }));

test('values are converted, folders made absolute, lists split as PATH is', () =>
  expect(readConfig({ SHEAF_HOME: 'x/y', SHEAF_API_PORT: '0', SHEAF_INPUT_DIRS: ['a', '', 'b'].join(path.delimiter) })).toMatchObject({
    SHEAF_HOME: path.resolve('x/y'), SHEAF_API_PORT: 0, SHEAF_INPUT_DIRS: [path.resolve('a'), path.resolve('b')],
  }));

test('an empty variable counts as unset, others are none of its business', () =>
  expect(readConfig({ SHEAF_API_PORT: '', PATH: 'x', SHEAF_TEMPORAL_ADDRESS: '' })).toMatchObject({ SHEAF_API_PORT: 8088 }));

test.each([['SHEAF_API_PORT', 'http'], ['SHEAF_API_PORT', '70000'], ['SHEAF_STORE', 'oracle'], ['SHEAF_LOG_LEVEL', 'loud'], ['SHEAF_API_URL', 'nowhere']])(
  '%s=%s is refused by name', (name, value) => expect(() => readConfig({ [name]: value })).toThrow(name));

test('every variable says what it is', () => {
  for (const [name, schema] of Object.entries(environmentSchema.shape)) expect(schema.description, name).toBeTruthy();
});
