import { expect, test } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';

test('no key is the folder of another, which stores on a file system could not hold', () => {
  const [tenant, id] = ['acme', '01'];
  const keys = [
    blobKeys.upload(tenant, id, '01'), blobKeys.uploadMeta(tenant, id), blobKeys.page(tenant, id, 1), blobKeys.duplicates(tenant, id, 1),
    blobKeys.result(tenant, id, 1, 7n), blobKeys.result(tenant, id, 1, 71n), blobKeys.page(tenant, '0', 1), blobKeys.upload(tenant, '0', '01'),
  ];
  const folders = Object.entries({ upload: blobKeys.uploadFolder(tenant, id), job: blobKeys.jobFolder(tenant, id) });
  for (const key of keys) {
    expect(key.startsWith(`${tenant}/`)).toBe(true);
    expect(keys.filter((other) => other.startsWith(`${key}/`)), key).toEqual([]);
  }
  for (const [name, folder] of folders) expect(keys.filter((key) => key === folder.slice(0, -1)), name).toEqual([]);
});
