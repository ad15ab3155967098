/** Each attempt of a job is a workflow of its own, so that none is ever started twice. */
export const jobWorkflowId = (job: string, attempt: number): string => `${job}/${attempt}`;
export const closeWorkflowId = (job: string, attempt: number): string => `${job}/${attempt}/close`;
export const deleteWorkflowId = (job: string): string => `${job}/delete`;
/** Begins with the tenant, so that nobody asks for another's. */
export const bulkWorkflowId = (tenant: string, bulk: string): string => `${tenant}/${bulk}`;
