import type { Knex } from 'knex';
import * as start from './0001-start.ts';

/** One step of the schema, forward only. Its name is what the database remembers. */
export type Migration = { name: string; up(knex: Knex): Promise<void> };

/** All steps, in order. Never change one that has been released: add another. */
export const migrations: readonly Migration[] = [{ name: '0001-start', up: start.up }];
