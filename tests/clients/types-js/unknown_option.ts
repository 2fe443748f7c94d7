// TS2561: there is no such option.
import { Tailrace } from 'tailrace';

export const client = new Tailrace({ baseURL: 'http://127.0.0.1:8080' });
