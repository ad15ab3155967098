/** Intents, in the control file: each is a small write before a call that is slow. */
import type { IntentRecord, IntentState } from '../../contracts/intent.ts';
import { listed, numberPairCursor, readCursor } from '../cursor.ts';
import { intentId } from '../intents.ts';
import type { IntentStore } from '../ports/intents.ts';
import type { SqliteFile } from './database.ts';

export function intentMethods(file: SqliteFile): IntentStore {
  const { db } = file;
  const select = db.prepare<[string, string], string>('SELECT record FROM intents WHERE tenant = ? AND id = ?').pluck();
  const insert = db.prepare<[string, string, string]>('INSERT INTO intents (tenant, id, record) VALUES (?, ?, ?)');
  const update = db.prepare<[string, string, string]>('UPDATE intents SET record = ? WHERE tenant = ? AND id = ?');
  const listedWhere = (of: string) => db.prepare<[Record<string, string | number>], string>(`
    SELECT record FROM intents WHERE tenant = :tenant AND job = :job AND state = :state ${of} AND (page, row) > (:afterPage, :afterRow)
    ORDER BY page, row LIMIT :limit`).pluck();
  const all = listedWhere('');
  const ofPage = listedWhere('AND page = :page');
  const answered = db.prepare<[string, string, IntentState], number>('SELECT DISTINCT page FROM intents WHERE tenant = ? AND job = ? AND state = ? ORDER BY page').pluck();
  const waiting = db.prepare<[string, string, IntentState], { submitted: number; deadline: string | null }>(
    'SELECT count(*) AS submitted, min(deadline) AS deadline FROM intents WHERE tenant = ? AND job = ? AND state = ?');

  const find = (tenant: string, id: string): IntentRecord | null => {
    const record = select.get(tenant, id);
    return record === undefined ? null : (JSON.parse(record) as IntentRecord);
  };

  return {
    readIntents: (lane, keys) => file.read(() => new Map(keys.flatMap((key) => {
      const found = find(lane.tenant, intentId(lane, key));
      return found === null ? [] : [[key, found] as const];
    }))),

    getIntent: (tenant, id) => file.read(() => find(tenant, id)),

    changeIntent: (intent) => file.write(() => {
      const id = intentId(intent, intent.key);
      const existing = find(intent.tenant, id);
      if ((existing?.revision ?? 0) !== intent.revision) return null;
      const saved = { ...intent, revision: intent.revision + 1 };
      if (existing === null) insert.run(intent.tenant, id, JSON.stringify(saved));
      else update.run(JSON.stringify(saved), intent.tenant, id);
      return saved;
    }),

    listIntents: async (tenant, job, { state, page: of }, page) => {
      const [afterPage, afterRow] = readCursor(page.cursor, numberPairCursor) ?? [-1, -1];
      const asked = { tenant, job, state, afterPage, afterRow, limit: page.limit + 1 };
      const found = await file.read(() => (of === undefined ? all.all(asked) : ofPage.all({ ...asked, page: of })));
      return listed(found.map((record) => JSON.parse(record) as IntentRecord), page.limit, (intent) => [intent.page, intent.row]);
    },

    openIntents: (tenant, job) => file.read(() => ({ answered: answered.all(tenant, job, 'answered'), ...waiting.get(tenant, job, 'submitted')! })),
  };
}
