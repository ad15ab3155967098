/** Each attempt of a job is a workflow of its own, so that none is ever started twice. */
export const jobWorkflowId = (job: string, attempt: number): string => `${job}/${attempt}`;
export const closeWorkflowId = (job: string, attempt: number): string => `${job}/${attempt}/close`;
/** The broker of a named limit. */
export const limitWorkflowId = (key: string): string => `limit/${key}`;
export const deleteWorkflowId = (job: string): string => `${job}/delete`;

/** Of the schedule and of the workflow that it starts. */
export const SWEEP_UPLOADS_ID = 'sheaf-sweep-uploads';
