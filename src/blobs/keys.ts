/** Where things lie in the blob store. Every key begins with the tenant. */

const number = (value: number): string => String(value).padStart(8, '0');

/** Milliseconds since 1970, of `blobKeys.webPage`. */
export const webPageTime = (key: string): number => Number(/(\d+)\.json\.zst$/.exec(key)?.[1]);

export const blobKeys = {
  /** Of no tenant: the name of this blob store, see `storage-identity.ts`. */
  identity: '-/identity',
  /** `content`: a name of its own for every try, so that none writes over another. */
  upload: (tenant: string, upload: string, content: string) => `${tenant}/uploads/${upload}/${content}`,
  /** JSON: {name, size, owner, createdAt, content}; written last and once, so that an upload without it never finished. */
  uploadMeta: (tenant: string, upload: string) => `${tenant}/uploads/${upload}/meta.json`,
  uploadFolder: (tenant: string, upload: string) => `${tenant}/uploads/${upload}/`,
  batchFolder: (tenant: string, batch: string) => `${tenant}/batches/${batch}/`,
  /** Members that are to be made, a line of JSON each; gone when they are made, but for files, whose list it remains. */
  batchJobs: (tenant: string, batch: string, requestHash: string) => `${tenant}/batches/${batch}/${requestHash}.ndjson`,
  bulkFolder: (tenant: string, bulk: string) => `${tenant}/bulk/${bulk}/`,
  /** What came of files of a batch, a line of JSON each. */
  batchFiles: (tenant: string, batch: string, chunk: number) => `${tenant}/batches/${batch}/files/${number(chunk)}.ndjson`,
  /** What an action came to, a line of JSON for each job. */
  bulkResults: (tenant: string, bulk: string, chunk: number) => `${tenant}/bulk/${bulk}/${number(chunk)}.ndjson`,
  /** What a job would do is asked about, while it is looked at. */
  forecast: (tenant: string, forecast: string) => `${tenant}/jobs/${forecast}/forecast.json`,
  jobFolder: (tenant: string, job: string) => `${tenant}/jobs/${job}/`,
  page: (tenant: string, job: string, page: number) => `${tenant}/jobs/${job}/pages/${number(page)}.ndjson.zst`,
  /** What came from the service that holds the sheet, of one state of it; gone when the pages are written. */
  fetched: (tenant: string, job: string, fingerprint: string, part: number) => `${tenant}/jobs/${job}/fetched/${fingerprint}/${number(part)}.json.zst`,
  fetchedFolder: (tenant: string, job: string) => `${tenant}/jobs/${job}/fetched/`,
  /** Rows whose key another row has too: {row: first row with the key}; only where a page has some. */
  duplicates: (tenant: string, job: string, page: number) => `${tenant}/jobs/${job}/duplicates/${number(page)}.json`,
  /** One try's result of a page. The page's record in the store says which try counts. */
  result: (tenant: string, job: string, page: number, fence: bigint) =>
    `${tenant}/jobs/${job}/results/${number(page)}/${fence}.ndjson.zst`,
  /** Rows that were there before and the sheet of a job lacks. */
  goneFolder: (tenant: string, job: string) => `${tenant}/jobs/${job}/gone/`,
  gone: (tenant: string, job: string, file: number) => `${tenant}/jobs/${job}/gone/${number(file)}.ndjson.zst`,
  sourceFolder: (tenant: string, source: string) => `${tenant}/sources/${source}/`,
  /** What a version has of its own, which outlives the job that made it. */
  versionFolder: (tenant: string, source: string, version: number) => `${tenant}/sources/${source}/${number(version)}/`,
  versionPage: (tenant: string, source: string, version: number, page: number) => `${tenant}/sources/${source}/${number(version)}/pages/${number(page)}.ndjson.zst`,
  versionDuplicates: (tenant: string, source: string, version: number, page: number) => `${tenant}/sources/${source}/${number(version)}/duplicates/${number(page)}.json`,
  versionResult: (tenant: string, source: string, version: number, page: number) => `${tenant}/sources/${source}/${number(version)}/results/${number(page)}.ndjson.zst`,
  /** Rows that stay though the sheet lacks them. */
  versionKept: (tenant: string, source: string, version: number, file: number) => `${tenant}/sources/${source}/${number(version)}/kept/${number(file)}.ndjson.zst`,
  versionManifest: (tenant: string, source: string, version: number) => `${tenant}/sources/${source}/${number(version)}/manifest.json`,
  /** Pages of the web that were read, of one address each; `hash` is the address's. */
  webPages: (tenant: string) => `${tenant}/web/`,
  webPageFolder: (tenant: string, hash: string) => `${tenant}/web/${hash}/`,
  /** `fetchedAt` in milliseconds since 1970. */
  webPage: (folder: string, fetchedAt: number) => `${folder}${String(fetchedAt).padStart(14, '0')}.json.zst`,
  documentFolder: (tenant: string, document: string) => `${tenant}/documents/${document}/`,
  /** The file as uploaded. `content`: a name of its own for every try at uploading it. */
  original: (tenant: string, document: string, content: string) => `${tenant}/documents/${document}/original/${content}`,
  /** Of an encrypted file; wiped once used. */
  password: (tenant: string, document: string) => `${tenant}/documents/${document}/password`,
  /** What a stage made in one try. The document's record says which try counts. */
  stageResult: (tenant: string, document: string, result: 'text' | 'blocks' | 'extraction' | 'chunks', attempt: number, sequence: number) =>
    `${tenant}/documents/${document}/${result}/${number(attempt)}-${number(sequence)}.zst`,
  /** What a model has answered, by the hash of what it was asked. */
  answer: (tenant: string, document: string, asked: string) => `${tenant}/documents/${document}/answers/${asked}.json`,
  /** A file with malware: out of everybody's way, until an administrator deletes it. */
  quarantine: (tenant: string, document: string) => `${tenant}/quarantine/${document}/original`,
  quarantineFolder: (tenant: string, document: string) => `${tenant}/quarantine/${document}/`,
};
