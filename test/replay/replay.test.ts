/** Workflow code as it is now must agree with histories that were made before: jobs that run through an update of Sheaf. */
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { describe, expect, test } from 'vitest';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';
import '../servers/temporal.ts';
import { committedHistories, toHistory, type CommittedHistory } from './histories.ts';

const histories = await committedHistories();
const replay = async (history: CommittedHistory): Promise<void> =>
  Worker.runReplayHistory({ workflowBundle: { codePath: await bundleWorkflows() } }, toHistory(history), 'committed');

/** Positions of the events that schedule an activity. */
const scheduled = ({ events }: CommittedHistory): number[] =>
  events.flatMap(({ activityTaskScheduledEventAttributes }, index) => (activityTaskScheduledEventAttributes ? [index] : []));

test('every way that a job can go has a history', () => {
  expect(histories.map(({ name }) => name)).toEqual([
    'bulk-action', 'cancelled-by-temporal', 'cancelled-for-a-dependency', 'cancelled', 'clean-up-sources', 'clean-up', 'cleanup-old-documents', 'close-job', 'completed',
    'continued-as-new', 'delete-document', 'delete-job', 'delete-source', 'document-completed', 'document-failed', 'document-paused-and-resumed',
    'document-reprocessed', 'document-waiting', 'failed-by-breaker', 'fanned-out-unpaid', 'fanned-out-waiting', 'fanned-out', 'forecast', 'limit-broker', 'make-batch', 'pages-in-tasks', 'parked', 'paused-and-resumed', 'planned',
    'resumed-while-draining', 'retry', 'row-cancelled', 'row-completed', 'row-failed', 'row-unpaid', 'row-waiting', 'scheduled-job', 'sync-approved', 'sync-rejected', 'waiting-for-a-limit', 'waiting-for-money', 'waiting', 'webhook-given-up', 'webhook', 'written-back',
  ]);
});

test.each(histories)('$name replays', ({ history }) => replay(history));

describe.each(histories.filter(({ history }) => scheduled(history).length > 0))('$name', ({ history }) => {
  test('with another first, or last, activity it does not', async () => {
    for (const index of [scheduled(history)[0]!, scheduled(history).at(-1)!]) {
      const mutated = structuredClone(history);
      mutated.events[index]!.activityTaskScheduledEventAttributes!.activityType.name = 'somethingElse';
      await expect(replay(mutated)).rejects.toThrow(DeterminismViolationError);
    }
  });
});

test('an activity that the history has and the code has not, and one that it lacks, are found', async () => {
  const { history } = histories.find(({ name }) => name === 'completed')!;
  const pages = scheduled(history).filter((index) => history.events[index]!.activityTaskScheduledEventAttributes!.activityType.name === 'processPage');
  const opened = scheduled(history).find((index) => history.events[index]!.activityTaskScheduledEventAttributes!.activityType.name === 'openSheet')!;

  const swapped = structuredClone(history);
  [swapped.events[pages[0]!]!.activityTaskScheduledEventAttributes, swapped.events[opened]!.activityTaskScheduledEventAttributes] =
    [history.events[opened]!.activityTaskScheduledEventAttributes!, history.events[pages[0]!]!.activityTaskScheduledEventAttributes!];
  await expect(replay(swapped)).rejects.toThrow(DeterminismViolationError);

  const turned = structuredClone(history);
  const timer = turned.events[scheduled(turned)[0]!]!;
  delete timer.activityTaskScheduledEventAttributes;
  timer.eventType = 'EVENT_TYPE_TIMER_STARTED';
  timer['timerStartedEventAttributes'] = { timerId: '1', startToFireTimeout: { seconds: '1' } };
  await expect(replay(turned)).rejects.toThrow(DeterminismViolationError);
});
