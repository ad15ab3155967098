/** Rows that nobody else is asked about. */
import type { Foreseen } from '../contracts/row.ts';
import type { HandledRow } from './handler.ts';

export const FREE: Readonly<Foreseen> = { known: false, tokens: 0, cost: 0, requests: 0 };
export const allFree = async (rows: HandledRow[]): Promise<Foreseen[]> => rows.map(() => FREE);
