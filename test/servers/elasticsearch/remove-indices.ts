/** Takes everything of a prefix off a server: indices and templates. */
import { Client } from '@elastic/elasticsearch';

export async function removeIndices(url: string, prefix: string): Promise<void> {
  const client = new Client({ node: url });
  try {
    const indices = Object.keys(await client.indices.get({ index: `${prefix}-*`, features: ['aliases'] }));
    if (indices.length > 0) await client.indices.delete({ index: indices });
    await client.indices.deleteIndexTemplate({ name: `${prefix}-*` }, { ignore: [404] });
    await client.cluster.deleteComponentTemplate({ name: `${prefix}-*` }, { ignore: [404] });
  } finally {
    await client.close();
  }
}
