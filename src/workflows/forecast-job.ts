/** What a job would do and cost: one activity, so that it runs where jobs do, with what workers may read and ask. */
import { proxyActivities } from '@temporalio/workflow';
import type { Forecast, ForecastActivities, ForecastInput } from '../contracts/forecast.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { FORECAST } from './activity-options.ts';

const { forecastRows } = proxyActivities<ForecastActivities>({ ...FORECAST, taskQueue: TASK_QUEUES.rows, summary: 'what the job would do' });

export const forecastJob = (input: ForecastInput): Promise<Forecast> => forecastRows(input);
