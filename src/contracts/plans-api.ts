/** Requests and answers of the HTTP API about what is planned ahead of jobs. */
import { z } from 'zod';
import { JOB_STATES } from './job.ts';

export const jobGraphAnswer = z
  .strictObject({
    job: z.string().meta({ description: 'The one that was asked about' }),
    jobs: z.array(z.strictObject({
      id: z.string(),
      state: z.enum(JOB_STATES).nullable().meta({ description: 'Null: it was deleted' }),
      file: z.string().optional(),
      handler: z.string().optional(),
      dependsOn: z.array(z.string()),
    })),
    complete: z.boolean().meta({ description: 'False: there are more than fit into one answer' }),
  })
  .meta({ id: 'JobGraph' });
export type JobGraphAnswer = z.infer<typeof jobGraphAnswer>;
