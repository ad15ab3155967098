import { workflowInfo } from '@temporalio/workflow';
import { MAX_HISTORY_EVENTS } from './activity-options.ts';

/** It is time to continue as new: replaying a longer history costs every worker that takes the workflow over. */
export const historyIsFull = (): boolean => workflowInfo().historyLength >= MAX_HISTORY_EVENTS || workflowInfo().continueAsNewSuggested;
