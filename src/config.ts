/** One parse of the environment. Everything is optional; `sheaf system config` lists it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { readMonthlyBudgets } from './limits/monthly-budgets.ts';
import { readFormats } from './formats.ts';
import { readLimitRules } from './limits/rules.ts';
import { readNamedSecrets } from './secrets.ts';
import { readPrices } from './models/prices.ts';
import { readNamedCredentials } from './sources/google/credentials.ts';
import { readAllowedHosts } from './web/addresses.ts';
import { readTenantWebhooks } from './webhooks.ts';

const port = z.coerce.number().int().min(0).max(65535);
const folders = z.string().transform((text) => text.split(path.delimiter).filter(Boolean).map((entry) => path.resolve(entry)));
const bytes = z.coerce.number().int().positive();
const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Milliseconds of `15m`, `12h`, `30d`. */
const age = z.string().regex(/^[1-9]\d{0,4}[mhd]$/, 'is no age: a number and m, h or d, such as 30d')
  .transform((text) => Number(text.slice(0, -1)) * (UNITS[text.slice(-1)] ?? 0));
const amount = z.coerce.number().int().min(1);
const share = z.coerce.number().gt(0).max(1);
const webAddress = z.url({ protocol: /^https?$/, error: 'is no http or https address' });
/** What a setting names, or holds, is read by whoever needs it; here it is only tried. */
const readableBy = (read: (given: string) => unknown) => (given: string, { addIssue }: z.RefinementCtx): void => {
  try {
    read(given);
  } catch (error) {
    addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
};
/** Where Elasticsearch answers. A password in an address would be shown wherever the address is. */
const nodes = z.string()
  .transform((text) => text.split(',').map((node) => node.trim()).filter(Boolean))
  .pipe(z.array(webAddress.refine(
    (address) => URL.parse(address)?.password === '', 'holds a password: use ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD',
  )).min(1));

export const environmentSchema = z.object({
  SHEAF_HOME: z.string().default('.sheaf').transform((folder) => path.resolve(folder)).describe('Folder of the embedded stack: databases, blobs, logs'),
  SHEAF_API_HOST: z.string().default('127.0.0.1').describe('Address that the API listens on'),
  SHEAF_API_PORT: port.default(8088).describe('Port of the API'),
  SHEAF_API_URL: z.url().optional().describe('Where the CLI finds the API; default: the stack that runs in SHEAF_HOME'),
  SHEAF_TEMPORAL_ADDRESS: z.string().optional().describe('host:port of a Temporal server; unset: the embedded one'),
  SHEAF_TEMPORAL_PORT: port.default(7233).describe('Port of the embedded Temporal server'),
  SHEAF_TEMPORAL_UI_PORT: port.default(8233).describe('Port of the embedded Temporal Web UI'),
  SHEAF_TEMPORAL_NAMESPACE: z.string().default('default').describe('Temporal namespace'),
  SHEAF_TEMPORAL_CLI: z.string().optional().describe('Path of the temporal binary; unset: PATH, then the cache'),
  SHEAF_WORKFLOW_BUNDLE: z.string().optional().transform((file) => file && path.resolve(file)).describe('File with the workflows bundled ahead, as the image has it; unset: bundled at the first start'),
  SHEAF_STORE: z.enum(['sqlite', 'elasticsearch']).default('sqlite').describe('Where records live'),
  SHEAF_BLOBS: z.enum(['filesystem', 's3']).default('filesystem').describe('Where files live'),
  SHEAF_INPUT_DIRS: folders.default(() => [process.cwd()]).describe('Folders that jobs may read sheets from by path'),
  SHEAF_HANDLER_DIRS: folders.default(() => [process.cwd()]).describe('Folders that handler modules may be loaded from'),
  SHEAF_PUBLIC_URL: webAddress.optional().describe('Where services of others reach the API, for callbacks; unset: http://127.0.0.1 and its port'),
  SHEAF_LIMITS: z.string().superRefine(readableBy(readLimitRules)).optional().describe('File (YAML or JSON) with the named limits that handlers call under, or its content as JSON; a limit that is not in it has the defaults'),
  SHEAF_CREDENTIALS: z.string().superRefine(readableBy(readNamedCredentials)).optional()
    .describe('File (YAML or JSON) that names credentials for Google: {name: {type: service_account | authorized_user, file} or {type: adc}}, or its content as JSON'),
  SHEAF_FORMATS: z.string().superRefine(readableBy(readFormats)).optional()
    .describe('File (YAML or JSON) that names formats of sheets: {name: {columns: {Column: {required, type, pattern, enum, minLength, maxLength, min, max}}}}, or its content as JSON'),
  SHEAF_SECRETS: z.string().superRefine(readableBy(readNamedSecrets)).optional()
    .describe('File (YAML or JSON) that names the secrets that handlers may use, and the hosts they may be sent to: {name: {env: variable, hosts: [host], tenants?}} or {name: {file, …}}, or its content as JSON'),
  SHEAF_GOOGLE_URL: webAddress.optional().describe('Where the APIs of Google and its token endpoint are, for demos and tests; unset: at Google'),
  SHEAF_ALLOWED_HOSTS: z.string().superRefine(readableBy(readAllowedHosts)).optional()
    .describe('Hosts, addresses or ranges (CIDR), with a port or without, with commas between, that may be called though they are private; unset: only the public internet'),
  SHEAF_WEBHOOKS: z.string().superRefine(readableBy(readTenantWebhooks)).optional()
    .describe('File (YAML or JSON) with webhooks that are told of all jobs of a tenant: {tenant: {name: {url, secret, events?}}}, or its content as JSON'),
  SHEAF_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Least severe log line that is written'),
  SHEAF_MAX_RUNNING_JOBS: amount.default(20).describe('Jobs that run at once; the others are queued'),
  SHEAF_MAX_RUNNING_JOBS_PER_TENANT: amount.default(3).describe('Jobs of one tenant that run at once'),
  SHEAF_LOW_PRIORITY_WAIT_SECONDS: z.coerce.number().min(0).max(30 * 86_400).default(900).describe('After so long in the queue a job of priority low counts as normal'),
  SHEAF_WORKER_TARGET_CPU: share.default(0.9).describe('Share of the CPU, 0 to 1, above which a worker takes no further work'),
  SHEAF_WORKER_TARGET_MEMORY: share.default(0.9).describe('Share of the memory, 0 to 1, above which a worker takes no further work'),
  SHEAF_MAX_UPLOAD_BYTES: bytes.default(10 * 2 ** 30).describe('Largest sheet or document that can be uploaded'),
  SHEAF_SIMPLE_UPLOAD_BYTES: bytes.default(100 * 2 ** 20).describe('Largest document that is taken by upload/simple; larger ones come in parts'),
  SHEAF_UPLOAD_CHUNK_BYTES: z.coerce.number().int().min(5 * 2 ** 20).max(2 ** 30).default(8 * 2 ** 20).describe('Bytes of a part of a document'),
  SHEAF_MAX_BATCH_JOBS: bytes.default(10_000).describe('Most jobs that a batch may have'),
  SHEAF_TENANT_QUOTA_BYTES: bytes.optional().describe("Most bytes of a tenant's documents together; unset: no limit"),
  SHEAF_MAX_RECORD_CHARS: bytes.default(4 * 2 ** 20).describe('Longest CSV record, or XLSX cell, in characters'),
  SHEAF_MAX_COLUMNS: bytes.default(16_384).describe('Most columns of a sheet'),
  SHEAF_MAX_INFLATED_BYTES: bytes.default(4 * 2 ** 30).describe('Most bytes that an XLSX, or another document that is an archive, may unpack to'),

  SHEAF_KEEP_JOBS: age.optional().describe('How long jobs are kept after their end, with events, pages and results (30d, 12h), and batches and actions on many jobs after them; unset: for ever'),
  SHEAF_KEEP_EVENTS: age.optional().describe('How long events of jobs are kept after their end; unset: as long as the job'),
  SHEAF_KEEP_OUTPUTS: age.optional().describe("How long outputs are kept in a source's ledger after they were written; its rows are not handled again for it. Unset: for ever"),
  SHEAF_KEEP_SUMMARIES: age.optional().describe('How long what analytics are made of is kept after the end of a job; unset: for ever'),
  SHEAF_KEEP_WEB_PAGES: age.optional().describe('How long pages of the web are kept after they were read; unset: until they are read anew'),
  SHEAF_KEEP_ANSWERS: age.optional().describe('How long answers of models are kept after they were paid for; what is asked later is paid for again. Unset: for ever'),
  SHEAF_CLAMAV: z.string().optional().describe('Where clamd listens: its socket, such as /run/clamav/clamd.ctl, or host:port; unset: documents are not scanned'),
  SHEAF_UNSCANNED: z.enum(['wait', 'allow']).default('wait').describe('Documents while clamd is away: wait for it, or go on marked as unscanned'),
  SHEAF_DOCUMENT_MINUTES: amount.default(60).describe('Minutes of work that one document may take'),
  SHEAF_DOCUMENT_STEP_MINUTES: amount.default(15).describe('Minutes that reading a document may take, cutting it into passages, or analysing it'),
  SHEAF_DOCUMENT_MEMORY_BYTES: bytes.default(2 * 2 ** 30).describe('Most memory of the process that reads a document'),
  SHEAF_MAX_DOCUMENT_PAGES: amount.default(20_000).describe('Most pages, slides or sheets of a document'),

  SHEAF_MODEL_URL: webAddress.optional().describe('Endpoint that speaks chat completions and embeddings as OpenAI does, such as http://localhost:11434/v1'),
  SHEAF_MODEL: z.string().optional().describe('Its model that writes summaries and tags of documents; unset: there are none. Their text is sent to it'),
  SHEAF_EMBEDDING_MODEL: z.string().optional().describe('Its model that makes vectors of passages; unset: there are none. Their text is sent to it'),
  SHEAF_MODEL_API_KEY: z.string().optional().describe('Key of SHEAF_MODEL_URL'),
  SHEAF_MODEL_API_KEY_FILE: z.string().optional().describe('File with SHEAF_MODEL_API_KEY'),
  OPENAI_API_KEY: z.string().optional().describe('Key of OpenAI, for models of rows such as openai:gpt-5-mini'),
  OPENAI_API_KEY_FILE: z.string().optional().describe('File with OPENAI_API_KEY'),
  OPENAI_BASE_URL: webAddress.optional().describe('Address of OpenAI, up to and with the version; unset: its own'),
  ANTHROPIC_API_KEY: z.string().optional().describe('Key of Anthropic, for models of rows such as anthropic:claude-sonnet-4-5'),
  ANTHROPIC_API_KEY_FILE: z.string().optional().describe('File with ANTHROPIC_API_KEY'),
  ANTHROPIC_BASE_URL: webAddress.optional().describe('Address of Anthropic, up to and with the version; unset: its own'),
  GOOGLE_GENERATIVE_AI_API_KEY: z.string().optional().describe('Key of Google, for models of rows such as google:gemini-2.5-flash'),
  GOOGLE_GENERATIVE_AI_API_KEY_FILE: z.string().optional().describe('File with GOOGLE_GENERATIVE_AI_API_KEY'),
  GOOGLE_GENERATIVE_AI_BASE_URL: webAddress.optional().describe("Address of Google's models, up to and with the version; unset: its own"),
  SHEAF_MODEL_PRICES: z.string().superRefine(readableBy(readPrices)).optional()
    .describe('File (YAML or JSON) with what models cost for a million tokens: {provider:model: {input, output}}, or its content as JSON; what a model costs that is not in it is unknown'),

  SHEAF_MONTHLY_BUDGETS: z.string().superRefine(readableBy(readMonthlyBudgets)).optional()
    .describe("File (YAML or JSON) with what tenants may spend on rows in a calendar month (UTC), in the currency of the price table: {tenant: amount, '*': amount of each other}, or its content as JSON; unset: no limit"),

  SHEAF_ELASTICSEARCH_PREFIX: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,59}$/, 'is no prefix of index names: lower-case letters, digits, - and _')
    .default('sheaf').describe('Index names begin with it; environments that share a cluster have one each'),
  ELASTICSEARCH_URL: nodes.optional().describe('Addresses of Elasticsearch, separated by commas'),
  ELASTICSEARCH_CLOUD_ID: z.string().optional().describe('Id of an Elastic Cloud deployment, in place of ELASTICSEARCH_URL'),
  ELASTICSEARCH_API_KEY: z.string().optional().describe('API key of Elasticsearch, encoded'),
  ELASTICSEARCH_API_KEY_FILE: z.string().optional().describe('File with ELASTICSEARCH_API_KEY'),
  ELASTICSEARCH_USERNAME: z.string().optional().describe('User of Elasticsearch, where there is no API key'),
  ELASTICSEARCH_PASSWORD: z.string().optional().describe('Its password'),
  ELASTICSEARCH_PASSWORD_FILE: z.string().optional().describe('File with ELASTICSEARCH_PASSWORD'),
  ELASTICSEARCH_CA_FILE: z.string().optional().describe('File with the certificates (PEM) that Elasticsearch is trusted by'),

  S3_BUCKET: z.string().optional().describe('Bucket for files; it must exist'),
  S3_ENDPOINT: webAddress.optional().describe('Address of the S3 server; unset: AWS'),
  S3_REGION: z.string().optional().describe('Region of the bucket; unset: AWS_REGION, else us-east-1'),
  S3_FORCE_PATH_STYLE: z.stringbool().optional().describe('Whether the bucket is in the path of addresses instead of the host name; unset: with S3_ENDPOINT'),
  S3_PREFIX: z.string().regex(/^[^/\\\0]+(\/[^/\\\0]+)*$/, 'neither begins nor ends with a slash').optional().describe('Keys in the bucket begin with it'),
  S3_CA_FILE: z.string().optional().describe('File with the certificates (PEM) that the S3 server is trusted by'),
  S3_SSE: z.enum(['AES256', 'aws:kms']).optional().describe('Encryption that the S3 server is to use; unset: its own default'),
  S3_SSE_KMS_KEY_ID: z.string().optional().describe('Key for S3_SSE=aws:kms'),
  AWS_REGION: z.string().optional().describe('Region, where S3_REGION is unset'),
  AWS_ACCESS_KEY_ID: z.string().optional().describe('S3 credentials. The AWS SDK reads them, and knows other ways: profiles, web identity, instance roles'),
  AWS_SECRET_ACCESS_KEY: z.string().optional().describe('The secret that belongs to AWS_ACCESS_KEY_ID'),
});

export type Config = z.infer<typeof environmentSchema>;

export const queueLimits = (config: Config): { perTenant: number; all: number; ageAfterMs: number } => ({
  perTenant: config.SHEAF_MAX_RUNNING_JOBS_PER_TENANT, all: config.SHEAF_MAX_RUNNING_JOBS, ageAfterMs: config.SHEAF_LOW_PRIORITY_WAIT_SECONDS * 1000,
});

/** What one setting needs others for. */
const consistent = environmentSchema.superRefine((config, { addIssue }) => {
  const wrong = (variable: keyof Config, message: string): void => addIssue({ code: 'custom', path: [variable], message });
  if (config.SHEAF_STORE === 'elasticsearch') {
    if (!config.ELASTICSEARCH_URL && config.ELASTICSEARCH_CLOUD_ID === undefined) {
      wrong('ELASTICSEARCH_URL', 'is missing: SHEAF_STORE=elasticsearch needs ELASTICSEARCH_URL, such as https://localhost:9200, or ELASTICSEARCH_CLOUD_ID');
    }
    if (config.ELASTICSEARCH_URL && config.ELASTICSEARCH_CLOUD_ID !== undefined) wrong('ELASTICSEARCH_CLOUD_ID', 'names another place than ELASTICSEARCH_URL: set one of them');
    if (config.ELASTICSEARCH_USERNAME !== undefined && config.ELASTICSEARCH_PASSWORD === undefined) {
      wrong('ELASTICSEARCH_PASSWORD', 'is missing: ELASTICSEARCH_USERNAME needs it, or ELASTICSEARCH_PASSWORD_FILE');
    }
    if (config.ELASTICSEARCH_PASSWORD !== undefined && config.ELASTICSEARCH_USERNAME === undefined) wrong('ELASTICSEARCH_USERNAME', 'is missing: ELASTICSEARCH_PASSWORD needs it');
  }
  for (const model of ['SHEAF_MODEL', 'SHEAF_EMBEDDING_MODEL'] as const) {
    if (config[model] !== undefined && config.SHEAF_MODEL_URL === undefined) wrong('SHEAF_MODEL_URL', `is missing: ${model} names a model of that endpoint`);
  }
  if (config.SHEAF_BLOBS === 's3' && config.S3_BUCKET === undefined) wrong('S3_BUCKET', 'is missing: SHEAF_BLOBS=s3 needs S3_BUCKET, the name of a bucket that exists');
  if (config.S3_SSE_KMS_KEY_ID !== undefined && config.S3_SSE !== 'aws:kms') wrong('S3_SSE', 'must be aws:kms where S3_SSE_KMS_KEY_ID is set');
});

/** Values of such variables stay unsaid. */
export const isSecret = (variable: string): boolean => /SECRET(?!S$)|PASSWORD|TOKEN|ACCESS_KEY|API_KEY/.test(variable) && !variable.endsWith('_FILE');

/** Variables whose value may be in a file instead, named by the variable with `_FILE` after it. */
const IN_FILES = ['ELASTICSEARCH_API_KEY', 'ELASTICSEARCH_PASSWORD', 'SHEAF_MODEL_API_KEY', 'OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GOOGLE_GENERATIVE_AI_API_KEY'] as const;

/** Throws a `ZodError` that names the variables. Empty variables count as unset. */
export function readConfig(environment: Record<string, string | undefined> = process.env): Config {
  const set: Record<string, string> = {};
  for (const name of Object.keys(environmentSchema.shape)) {
    const value = environment[name];
    if (value !== undefined && value !== '') set[name] = value;
  }
  for (const name of IN_FILES) {
    const file = set[`${name}_FILE`];
    if (file !== undefined) set[name] = secretFrom(file, name, set[name]);
  }
  return consistent.parse(set);
}

function secretFrom(file: string, variable: string, given: string | undefined): string {
  const refuse = (message: string): never => {
    throw new z.ZodError([{ code: 'custom', path: [`${variable}_FILE`], message, input: undefined }]);
  };
  if (given !== undefined) refuse(`is set beside ${variable}: set one of them`);
  try {
    return readFileSync(file, 'utf8').trim() || refuse(`${file} is empty`);
  } catch (error) {
    if (error instanceof z.ZodError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
    return refuse(`${file} cannot be read (${code})`);
  }
}
