/**
 * One Elasticsearch for a whole test run: the one that SHEAF_TEST_ELASTICSEARCH_URL names, else one that the run's
 * global setup starts when the first test file asks for it.
 */
import { inject } from 'vitest';

/** Its URL. Rejects with an error that says what is missing. */
export async function sharedElasticsearch(): Promise<string> {
  const answer = await fetch(inject('elasticsearchOnDemand'));
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return text;
}
