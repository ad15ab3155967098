/** `provider:model` by the AI SDK's providers. Each is loaded when the first of its models is asked for. */
import type { LanguageModelV4, LanguageModelV4Prompt, LanguageModelV4Usage } from '@ai-sdk/provider';
import { SheafError } from '../contracts/errors.ts';
import { nearest } from '../domain/nearest.ts';
import { sorted } from './failures.ts';
import { ModelError, type LanguageModel, type LanguageModels, type ModelRequest, type Said, type Tokens } from './language-model.ts';
import { costOf, type PriceTable } from './prices.ts';

/** An answer that has not come by then will not come. */
const CALL_MS = 120_000;

export interface ModelSettings {
  prices: PriceTable;
  /** Names of the configured limits: a model's calls take from those called as its provider, or as itself. */
  limitNames: readonly string[];
  openai: { apiKey?: string | undefined; baseURL?: string | undefined };
  anthropic: { apiKey?: string | undefined; baseURL?: string | undefined };
  google: { apiKey?: string | undefined; baseURL?: string | undefined };
  /** Any server that speaks chat completions. */
  'openai-compatible': { apiKey?: string | undefined; baseURL?: string | undefined };
}

export const PROVIDERS = ['openai', 'anthropic', 'google', 'openai-compatible'] as const;
type Provider = (typeof PROVIDERS)[number];

/** What a provider cannot do without, and where it is said. */
const NEEDS: Record<Provider, { setting: 'apiKey' | 'baseURL'; variable: string }> = {
  openai: { setting: 'apiKey', variable: 'OPENAI_API_KEY' },
  anthropic: { setting: 'apiKey', variable: 'ANTHROPIC_API_KEY' },
  google: { setting: 'apiKey', variable: 'GOOGLE_GENERATIVE_AI_API_KEY' },
  'openai-compatible': { setting: 'baseURL', variable: 'SHEAF_MODEL_URL' },
};

type Factory = (model: string) => LanguageModelV4;

const LOAD: Record<Provider, (settings: { apiKey?: string; baseURL?: string }) => Promise<Factory>> = {
  openai: async (settings) => {
    const provider = (await import('@ai-sdk/openai')).createOpenAI(settings);
    return (model) => provider.chat(model);
  },
  anthropic: async (settings) => (await import('@ai-sdk/anthropic')).createAnthropic(settings),
  google: async (settings) => (await import('@ai-sdk/google')).createGoogle(settings),
  'openai-compatible': async ({ baseURL = '', ...settings }) => {
    const provider = (await import('@ai-sdk/openai-compatible')).createOpenAICompatible({ name: 'compatible', baseURL, supportsStructuredOutputs: true, ...settings });
    return (model) => provider.chatModel(model);
  },
};

export function languageModels(settings: ModelSettings): LanguageModels {
  const loaded = new Map<Provider, Promise<Factory>>();

  return {
    async open(name) {
      const { provider, model } = parts(name);
      const { apiKey, baseURL } = settings[provider];
      const { setting, variable } = NEEDS[provider];
      if (settings[provider][setting] === undefined) {
        throw new SheafError('model_not_configured', `The workers cannot ask ${name}: ${variable} is not set.`, { remedy: `Set ${variable} where workers run, and start them again`, place: { field: 'options.model' } });
      }
      let factory = loaded.get(provider);
      if (!factory) loaded.set(provider, (factory = LOAD[provider]({ ...(apiKey !== undefined && { apiKey }), ...(baseURL !== undefined && { baseURL }) })));
      return spoken(name, (await factory)(model), settings.limitNames.filter((limit) => limit === provider || limit === name));
    },

    costOf: (name, tokens) => costOf(settings.prices, name, tokens),
  };
}

/** Throws `model_unknown`. */
function parts(name: string): { provider: Provider; model: string } {
  const colon = name.indexOf(':');
  const [given, model] = colon < 0 ? [name, ''] : [name.slice(0, colon), name.slice(colon + 1)];
  const provider = PROVIDERS.find((one) => one === given);
  if (provider !== undefined && model !== '') return { provider, model };
  const near = nearest(given, PROVIDERS);
  throw new SheafError('model_unknown', `"${name.slice(0, 200)}" names no model${near === null || provider ? '' : `; did you mean "${near}:…"?`}`, {
    remedy: `Write provider:model, such as openai:gpt-5-mini; providers are ${PROVIDERS.join(', ')}`, place: { field: 'options.model' },
  });
}

function spoken(name: string, model: LanguageModelV4, limits: string[]): LanguageModel {
  return {
    name, limits,
    async say({ system, schema, strict, ...asked }, signal) {
      const timeout = AbortSignal.timeout(CALL_MS);
      try {
        const { content, finishReason, usage } = await model.doGenerate({
          prompt: promptOf(system, asked), responseFormat: { type: 'json', name: 'answer', schema }, abortSignal: AbortSignal.any([signal, timeout]),
          providerOptions: { openai: { strictJsonSchema: strict }, compatible: { strictJsonSchema: strict } },
        });
        const tokens = tokensOf(usage);
        if (finishReason.unified === 'content-filter') throw new ModelError('content_refused', `${name} refuses to work on this row's content.`, { tokens });
        return { text: content.map((part) => (part.type === 'text' ? part.text : '')).join(''), tokens, cut: finishReason.unified === 'length' } satisfies Said;
      } catch (error) {
        signal.throwIfAborted();
        if (timeout.aborted) throw new ModelError('model_timeout', `${name} did not answer within ${CALL_MS / 1_000} seconds.`, { retryable: true });
        throw sorted(error, name);
      }
    },
  };
}

function promptOf(system: string, { prompt, repair }: Pick<ModelRequest, 'prompt' | 'repair'>): LanguageModelV4Prompt {
  const user = (text: string): LanguageModelV4Prompt[number] => ({ role: 'user', content: [{ type: 'text', text }] });
  return [
    { role: 'system', content: system }, user(prompt),
    ...(repair === undefined ? [] : [{ role: 'assistant' as const, content: [{ type: 'text' as const, text: repair.said }] }, user(repair.complaint)]),
  ];
}

function tokensOf({ inputTokens, outputTokens }: LanguageModelV4Usage): Tokens | null {
  return inputTokens.total === undefined || outputTokens.total === undefined ? null : { input: inputTokens.total, output: outputTokens.total };
}
