/** The broker of one named limit, for all workers: `domain/limit-broker.ts` behind an Update, for as long as there is a limit. */
import { allHandlersFinished, ApplicationFailure, condition, continueAsNew, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  LEASE_UPDATE, LIMIT_STATUS_QUERY,
  type LeaseAnswer, type LeaseRequest, type LimitBrokerInput, type LimitStatus,
} from '../contracts/limits.ts';
import { LimitBroker } from '../domain/limit-broker.ts';
import { historyIsFull } from './history.ts';

export const leaseUpdate = defineUpdate<LeaseAnswer, [LeaseRequest]>(LEASE_UPDATE);
/** With the moment it is about, ms since the epoch: a workflow's own clock stands still between its tasks. */
export const limitStatusQuery = defineQuery<LimitStatus, [number]>(LIMIT_STATUS_QUERY);

export async function limitBroker(input: LimitBrokerInput): Promise<void> {
  const broker = new LimitBroker(input.rule, input.carried);
  setHandler(limitStatusQuery, (now) => broker.status(now));
  setHandler(leaseUpdate, (request) => broker.lease(request, Date.now()), { validator: mayAsk });
  await condition(historyIsFull);
  await condition(allHandlersFinished);
  await continueAsNew<typeof limitBroker>({ ...input, carried: broker.state });
}

/** Whatever else comes, by the `temporal` CLI say, must not stop the broker. */
function mayAsk(request: LeaseRequest): void {
  const { worker, seq, rule, wants, used, returned, away } = request;
  const sound = typeof worker === 'string' && Number.isInteger(seq) && [rule, wants, away].every((one) => typeof one === 'object' && one !== null)
    && Array.isArray(used) && Array.isArray(returned);
  if (!sound) throw ApplicationFailure.nonRetryable('This is no question that a worker asks.', 'invalid_request');
}
