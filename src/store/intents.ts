/** What the stores do alike with intents. */
import { digest } from '../domain/hashing.ts';
import type { LaneRef } from './ports/rows.ts';

/** The item's, within its tenant. */
export const intentId = ({ source, lane }: LaneRef, key: string): string => digest(JSON.stringify([source, lane, key]));
