/** Uploads in parts, in the control file. */
import type { UploadPart, UploadRecord } from '../../contracts/upload.ts';
import { jobCursor, listed, readCursor } from '../cursor.ts';
import type { UploadStore } from '../ports/uploads.ts';
import type { SqliteFile } from './database.ts';

export function uploadMethods(file: SqliteFile): UploadStore {
  const { db } = file;
  const insert = db.prepare<[string, string, string]>('INSERT INTO uploads (tenant, id, record) VALUES (?, ?, ?)');
  const update = db.prepare<[string, string, string]>('UPDATE uploads SET record = ? WHERE tenant = ? AND id = ?');
  const select = db.prepare<[string, string], string>('SELECT record FROM uploads WHERE tenant = ? AND id = ?').pluck();
  const newest = db.prepare<[Record<string, string | number | null>], string>(`
    SELECT record FROM uploads
    WHERE tenant = :tenant AND active = 1 AND (:owner IS NULL OR owner = :owner)
      AND (:createdAt IS NULL OR (created_at, id) < (:createdAt, :id))
    ORDER BY created_at DESC, id DESC LIMIT :limit`).pluck();
  const expired = db.prepare<[string, string, string, number], string>(`
    SELECT record FROM uploads WHERE expires_at < ? AND (tenant, id) > (?, ?) ORDER BY tenant, id LIMIT ?`).pluck();
  const announced = db.prepare<[string], number>(
    "SELECT coalesce(sum(record ->> '$.request.size'), 0) FROM uploads WHERE tenant = ? AND active = 1").pluck();
  const selectPart = db.prepare<[string, string, number], UploadPart>(
    'SELECT number, size, md5, checksum FROM upload_parts WHERE tenant = ? AND upload = ? AND number = ?');
  const selectParts = db.prepare<[string, string], UploadPart>(
    'SELECT number, size, md5, checksum FROM upload_parts WHERE tenant = ? AND upload = ? ORDER BY number');
  const insertPart = db.prepare<[string, string, number, number, string, string]>(
    'INSERT INTO upload_parts (tenant, upload, number, size, md5, checksum) VALUES (?, ?, ?, ?, ?, ?)');
  const deletePart = db.prepare<[string, string, number, string, string]>(
    'DELETE FROM upload_parts WHERE tenant = ? AND upload = ? AND number = ? AND md5 = ? AND checksum = ?');
  const deleteParts = db.prepare<[string, string]>('DELETE FROM upload_parts WHERE tenant = ? AND upload = ?');
  const deleteUpload = db.prepare<[string, string]>('DELETE FROM uploads WHERE tenant = ? AND id = ?');

  const find = (tenant: string, id: string): UploadRecord | null => {
    const record = select.get(tenant, id);
    return record === undefined ? null : (JSON.parse(record) as UploadRecord);
  };
  const save = (upload: UploadRecord): UploadRecord => {
    update.run(JSON.stringify(upload), upload.tenant, upload.id);
    return upload;
  };

  return {
    createUpload: (upload) => file.write(() => {
      const existing = find(upload.tenant, upload.id);
      if (existing !== null) return { upload: existing, created: false };
      insert.run(upload.tenant, upload.id, JSON.stringify(upload));
      return { upload, created: true };
    }),

    getUpload: (tenant, id) => file.read(() => find(tenant, id)),

    listUploads: async (tenant, { owner }, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const found = await file.read(() => newest.all({
        tenant, owner: owner ?? null, createdAt: after?.[0] ?? null, id: after?.[1] ?? null, limit: page.limit + 1,
      }));
      return listed(found.map((record) => JSON.parse(record) as UploadRecord), page.limit, (upload) => [upload.createdAt, upload.id]);
    },

    uploadUsage: (tenant) => file.read(() => announced.get(tenant) ?? 0),

    changeUpload: (tenant, id, from, patch) => file.write(() => {
      const upload = find(tenant, id);
      return upload === null || !from.includes(upload.state) ? null : save({ ...upload, ...patch });
    }),

    addUploadPart: (tenant, id, part) => file.write(() => {
      const upload = find(tenant, id);
      if (upload === null || upload.state !== 'open') return null;
      const before = selectPart.get(tenant, id, part.number);
      if (before !== undefined) return { part: before, upload };
      insertPart.run(tenant, id, part.number, part.size, part.md5, part.checksum);
      return { part, upload: save({ ...upload, parts: upload.parts + 1, bytes: upload.bytes + part.size }) };
    }),

    getUploadPart: (tenant, id, number) => file.read(() => selectPart.get(tenant, id, number) ?? null),

    uploadParts: (tenant, id) => file.read(() => selectParts.all(tenant, id)),

    dropUploadParts: (tenant, id, parts) => file.write(() => {
      const upload = find(tenant, id);
      if (upload === null) return;
      const dropped = parts.filter(({ number, md5, checksum }) => deletePart.run(tenant, id, number, md5, checksum).changes > 0);
      save({ ...upload, parts: upload.parts - dropped.length, bytes: upload.bytes - dropped.reduce((sum, { size }) => sum + size, 0) });
    }),

    expiredUploads: async (before, page) => {
      const [tenant, id] = readCursor(page.cursor, jobCursor) ?? ['', ''];
      const found = await file.read(() => expired.all(before, tenant, id, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as UploadRecord), page.limit, (upload) => [upload.tenant, upload.id]);
    },

    removeUpload: (tenant, id) => file.write(() => {
      deleteParts.run(tenant, id);
      deleteUpload.run(tenant, id);
    }),
  };
}
