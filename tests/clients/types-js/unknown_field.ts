// TS2561: a request has no such field.
import { Tailrace } from 'tailrace';

export const answer = new Tailrace({ token: 't' }).stream({ prompt: 'Hi', max_token: 5 });
