import type { AdministratorId } from '../lib/id.ts';
import { rows } from './database.ts';
import type { Db } from './database.ts';

/** Somebody who runs the gateway. */
export type Administrator = { id: AdministratorId; email: string };

export async function findAdministrator(db: Db, id: AdministratorId): Promise<Administrator | null> {
  const [found] = await rows<Administrator>(db, 'select id, email from administrators where id = :id', {
    id,
  });
  return found ?? null;
}
