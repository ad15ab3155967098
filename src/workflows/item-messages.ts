/** Messages between a job, its rows that are workflows of their own, and whoever asks something of them. */
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import { ITEM_NEWS_SIGNAL, RELEASE_SIGNAL, STEER_ITEM, type ItemJobStatus, type ItemNews, type SteerItemInput } from '../contracts/items.ts';
import type { Priority } from '../contracts/job.ts';
import { SET_PRIORITY, STATUS_QUERY } from '../contracts/messages.ts';

export const releaseSignal = defineSignal(RELEASE_SIGNAL);
export const itemNewsSignal = defineSignal<[ItemNews]>(ITEM_NEWS_SIGNAL);
export const steerItemUpdate = defineUpdate<void, [SteerItemInput]>(STEER_ITEM);
export const itemStatusQuery = defineQuery<ItemJobStatus>(STATUS_QUERY);
export const itemPriorityUpdate = defineUpdate<void, [Priority]>(SET_PRIORITY);
export const itemPrioritySignal = defineSignal<[Priority]>(SET_PRIORITY);
