/** Requests and answers of the API's search. See `api.ts`. */
import { z } from 'zod';
import { count, day, ID_PATTERN, json, time } from './api.ts';
import { rowFailure } from './items-api.ts';

export const searchQuery = z.strictObject({
  q: z.string().meta({
    description: 'All of these words, `"these in this order"`, not `-this`; at most 500 characters and 32 words. Case, accents and vowel points do not matter; '
      + 'Hebrew words are found with and without prefixes, Chinese, Japanese, Korean and Thai by any part',
  }),
  kind: z.enum(['item', 'passage']).exactOptional().meta({ description: 'Only rows, or only passages of documents' }),
  source: z.string().min(1).max(500).exactOptional(),
  lane: z.string().min(1).max(128).exactOptional(),
  job: z.string().regex(ID_PATTERN).exactOptional().meta({ description: 'Rows that this job wrote last; those that it found unchanged are not among them' }),
  tag: z.array(z.string().min(1).max(64)).max(20).exactOptional().meta({ description: 'Rows that a job with all of these tags wrote last; repeated or with commas' }),
  state: z.enum(['done', 'failed']).exactOptional(),
  since: day.exactOptional().meta({ description: 'Written last at this time (ISO 8601) or later; a day begins in UTC' }),
  until: day.exactOptional().meta({ description: 'Written last before this time or day' }),
  cursor: z.string().max(500).exactOptional().meta({ description: '`nextCursor` of the page before, with the same question' }),
  limit: z.coerce.number().int().min(1).max(100).default(20).meta({ description: 'Hits in one answer' }),
});

export const searchHitAnswer = z
  .strictObject({
    kind: z.literal('item').meta({ description: 'What was found: a row of a source' }),
    source: z.string(),
    lane: z.string(),
    key: z.string(),
    row: z.int().meta({ description: 'As a spreadsheet program numbers it' }),
    state: z.enum(['done', 'failed']),
    job: z.string().meta({ description: 'Which wrote it last' }),
    tags: z.array(z.string()).meta({ description: "That job's" }),
    updatedAt: time,
    input: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    output: json,
    error: rowFailure.optional(),
    highlights: z
      .array(z.strictObject({
        in: z.enum(['input', 'output']),
        name: z.string().meta({ description: 'The column, or the path in the output (`labels.0`)' }),
        parts: z.array(z.strictObject({ text: z.string(), match: z.boolean() })).meta({ description: 'One after the other they are the text; `…` where it was cut' }),
      }))
      .max(3)
      .meta({ description: 'Where the words stand, the best first; none where they lie far behind in a very long row' }),
  })
  .meta({ id: 'SearchHit' });
export type SearchHitAnswer = z.infer<typeof searchHitAnswer>;

export const passageHitAnswer = z
  .strictObject({
    kind: z.literal('passage').meta({ description: 'What was found: a passage of a document' }),
    document: z.string().meta({ description: 'Its id' }),
    file: z.string(),
    title: z.string().nullable(),
    number: z.int().min(1).meta({ description: 'Of the passage in the document' }),
    pages: z.array(z.int()).length(2).nullable().meta({ description: 'First and last page that it stands on; null where the format has none' }),
    headings: z.array(z.string()).meta({ description: 'Above it, outermost first' }),
    text: z.string(),
    tokens: count,
    source: z.string(),
    job: z.string(),
    tags: z.array(z.string()),
    updatedAt: time,
    highlights: searchHitAnswer.shape.highlights,
  })
  .meta({ id: 'PassageHit' });
export type PassageHitAnswer = z.infer<typeof passageHitAnswer>;

export const hitAnswer = z.discriminatedUnion('kind', [searchHitAnswer, passageHitAnswer]);
export type HitAnswer = z.infer<typeof hitAnswer>;
