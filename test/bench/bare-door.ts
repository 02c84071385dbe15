import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { startHttpServer } from '../../src/api/server.ts';
import { run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import type { Door } from './accepting.ts';

/** Answers each call when its body is in a file and in one row, both synced: the least that can be said to be kept. */
export async function startBareDoor(db: Db, directory: string): Promise<Door> {
  await db.raw('create table bare (id bigint generated always as identity primary key, body text not null)');
  let files = 0;
  const keep = async (request: Request): Promise<Response> => {
    const body = await request.text();
    files += 1;
    const file = await open(join(directory, `bare-${files}`), 'wx');
    try {
      await file.writeFile(body);
      await file.datasync();
    } finally {
      await file.close();
    }
    await run(db, 'insert into bare (body) values (:body)', { body });
    return Response.json({ kept: true }, { status: 202 });
  };
  const { url } = await startHttpServer({ app: { fetch: keep }, host: '127.0.0.1', port: 0 });
  return { url, key: 'none' };
}
