/**
 * One Elasticsearch for a whole test run: the one that SHEAF_TEST_ELASTICSEARCH_URL names, else one that the run's
 * global setup starts when the first test file asks for it.
 */
import { inject } from 'vitest';

/** A test file that gets `missing` says so and skips; with SHEAF_REQUIRE_ALL=1 it fails instead. */
export async function sharedElasticsearch(): Promise<{ url: string; missing?: undefined } | { url?: undefined; missing: string }> {
  const answer = await fetch(inject('elasticsearchOnDemand'));
  const text = await answer.text();
  if (answer.ok) return { url: text };
  if (process.env['SHEAF_REQUIRE_ALL'] === '1') throw new Error(text);
  console.warn(`Not run, for lack of Elasticsearch: ${text}`);
  return { missing: text };
}
