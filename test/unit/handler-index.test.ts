import { describe, expect, test } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import { findHandler, handlers, parseOptions, resolveHandler } from '../../src/handlers/index.ts';

const failure = (action: () => unknown): SheafError => {
  try {
    action();
  } catch (error) {
    if (error instanceof SheafError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('finding a handler', () => {
  test('every handler is found by its own name and says in a sentence what it does', () => {
    expect([...handlers.keys()]).toContain('store');
    for (const [name, handler] of handlers) {
      expect(findHandler(name)).toBe(handler);
      expect(handler.name).toBe(name);
      expect(handler.summary).toMatch(/\.$/);
    }
  });

  test('an unknown name is refused with the nearest one and all that exist', () => {
    const error = failure(() => findHandler('stroe'));
    expect(error.code).toBe('unknown_handler');
    expect(error.message).toContain('did you mean "store"');
    for (const name of handlers.keys()) expect(error.remedy).toContain(name);
    expect(failure(() => findHandler('teleport')).message).not.toContain('did you mean');
  });

  test.each(['./my-handler.ts', '../x/y.mjs', '/abs/x.js', 'mine.mts', 'folder\\mine.ts'])('%s is a path: handler module with that file', (file) => {
    expect(resolveHandler(file, {})).toEqual({ name: 'module', options: { file } });
  });

  test('options given with a path are the module\'s own, but for the time limit', () => {
    expect(resolveHandler('./mine.ts', { currency: 'EUR', timeoutSeconds: 5 }))
      .toEqual({ name: 'module', options: { file: './mine.ts', options: { currency: 'EUR' }, timeoutSeconds: 5 } });
  });

  test('a relative path starts at the folder that is given', () => {
    expect(resolveHandler('./mine.ts', {}, '/home/ada')).toEqual({ name: 'module', options: { file: '/home/ada/mine.ts' } });
  });

  test('a name keeps its options as they are', () => {
    expect(resolveHandler('store', { a: 1 })).toEqual({ name: 'store', options: { a: 1 } });
  });
});

describe('options', () => {
  test('no options are the defaults', () => {
    expect(parseOptions(findHandler('store'), undefined)).toEqual({});
  });

  test('an option that does not exist is refused by its name', () => {
    const error = failure(() => parseOptions(findHandler('store'), { colour: 'red' }));
    expect(error.code).toBe('invalid_options');
    expect(error.message).toContain('there is no option "colour"');
    expect(error.place).toEqual({ field: 'options.colour' });
  });
});
