/** Answers to services that call back. */
import { z } from 'zod';

export const callbackAnswer = z.strictObject({
  state: z.enum(['submitted', 'answered']).meta({ description: '`submitted`: an answer is still waited for' }),
}).meta({ id: 'Callback' });
