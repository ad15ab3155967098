/** Answers that were paid for, in a file of their own: what is lost of it with the power is asked once more. */
import type { AnswerRecord } from '../../contracts/answer.ts';
import type { Tally } from '../../contracts/system.ts';
import type { AnswerStore } from '../ports/answers.ts';
import { addTo } from '../tallies.ts';
import type { SqliteFile } from './database.ts';

const ANSWERS_A_STEP = 2_000;

interface AnswerRow extends Omit<AnswerRecord, 'output'> {
  output: string;
}

export function answerMethods(file: SqliteFile): AnswerStore {
  const { db } = file;
  // A commit that waits for the disk would keep the worker waiting with every answer.
  db.pragma('synchronous = NORMAL');
  const select = db.prepare<[string, string], AnswerRow>(
    'SELECT key, output, tokens, cost FROM answers WHERE tenant = ? AND key IN (SELECT value FROM json_each(?))');
  const upsert = db.prepare<[string, string, string, number | null, number | null, number]>(`
    INSERT INTO answers (tenant, key, output, tokens, cost, written_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET output = excluded.output, tokens = excluded.tokens, cost = excluded.cost, written_at = excluded.written_at`);
  const sumOld = db.prepare<[number], Tally>('SELECT tenant, count(*) AS count, sum(length(output)) AS bytes FROM answers WHERE written_at < ? GROUP BY tenant');
  const deleteOld = db.prepare<[number, number], { tenant: string; bytes: number }>(`
    DELETE FROM answers WHERE (tenant, key) IN (SELECT tenant, key FROM answers WHERE written_at < ? ORDER BY written_at LIMIT ?)
    RETURNING tenant, length(output) AS bytes`);

  return {
    readAnswers: (tenant, keys) => file.read(() => new Map(
      select.all(tenant, JSON.stringify(keys)).map(({ output, ...rest }) => [rest.key, { ...rest, output: JSON.parse(output) as AnswerRecord['output'] }]))),

    writeAnswer: (tenant, { key, output, tokens, cost }) => file.write(() => {
      upsert.run(tenant, key, JSON.stringify(output), tokens, cost, Date.now());
    }),

    sweepAnswers: ({ before, dryRun }) => {
      const time = Date.parse(before);
      if (dryRun) return file.read(() => ({ gone: sumOld.all(time), next: null }));
      return file.write(() => {
        const gone: Tally[] = [];
        const removed = deleteOld.all(time, ANSWERS_A_STEP);
        for (const { tenant, bytes } of removed) addTo(gone, { tenant, count: 1, bytes });
        return { gone, next: removed.length < ANSWERS_A_STEP ? null : '' };
      });
    },
  };
}
