/** The real adapters, pointed at the tests' server; answers are kept in memory. */
import type { AnswerRecord } from '../../../src/contracts/answer.ts';
import type { LanguageModels } from '../../../src/models/language-model.ts';
import type { PriceTable } from '../../../src/models/prices.ts';
import { languageModels, type ModelSettings } from '../../../src/models/providers.ts';
import { rowModels, type RowModels } from '../../../src/models/questions.ts';

/** A key that must appear nowhere but in requests. */
export const MODEL_KEY = 'secret-of-the-test';

export const NO_MODELS: ModelSettings = { prices: {}, limitNames: [], openai: {}, anthropic: {}, google: {}, 'openai-compatible': {} };

export function modelsAt(url: string, { prices = {}, limitNames = [] }: { prices?: PriceTable; limitNames?: string[] } = {}): LanguageModels {
  const settings = { apiKey: MODEL_KEY, baseURL: url };
  return languageModels({ prices, limitNames, openai: settings, anthropic: settings, google: settings, 'openai-compatible': settings });
}

export function rowModelsAt(models: LanguageModels, { force = false, kept = new Map<string, AnswerRecord>() } = {}): RowModels {
  return rowModels({
    models, force, underWay: new Map(),
    answers: {
      read: async (keys) => new Map(keys.flatMap((key) => (kept.has(key) ? [[key, kept.get(key)!] as const] : []))),
      write: async (answer) => void kept.set(answer.key, answer),
    },
  });
}
