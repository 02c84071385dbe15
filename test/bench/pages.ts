import { createHash, randomBytes } from 'node:crypto';
import { Agent, request } from 'undici';
import { startHttpServer } from '../../src/api/server.ts';
import { newId } from '../../src/lib/id.ts';
import { insertConnectLink } from '../../src/store/connect-links.ts';
import { insertConsoleSession } from '../../src/store/console-sessions.ts';
import type { SignedIn } from '../../src/store/console-sessions.ts';
import { rows, run } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { startPages } from '../console/pages.ts';
import type { Bench } from './bench.ts';
import { share } from './figures.ts';
import { counts, fillForPages } from './pages-data.ts';
import type { Row } from './table.ts';

/** Whose browser asks. */
type Reader = 'administrator' | 'user' | 'nobody';

/** Each page by a name; where its path needs an id, a question for it (SQL) that gives one. */
const pages: readonly { path: string; as: Reader; id?: string }[] = [
  { path: '/admin', as: 'administrator' },
  { path: '/admin/held', as: 'administrator' },
  {
    path: '/admin/held?older={id}',
    as: 'administrator',
    id: `select id from intake_spool where state = 'held' order by id limit 1 offset 100`,
  },
  { path: '/admin/sends', as: 'administrator' },
  {
    path: '/admin/sends?older={id}',
    as: 'administrator',
    id: 'select id from sends order by id limit 1 offset 100',
  },
  {
    path: '/admin/sends?newer={id}',
    as: 'administrator',
    id: 'select id from sends order by id limit 1 offset 100',
  },
  { path: '/admin/sends?state=sent', as: 'administrator' },
  { path: '/admin/sends?state=failed&sub_account=bench', as: 'administrator' },
  { path: '/admin/sends?sub_account=bench&user=u7', as: 'administrator' },
  {
    path: '/admin/sends/{id}',
    as: 'administrator',
    id: `select id from sends where state = 'sent' order by id limit 1`,
  },
  { path: '/admin/webhooks', as: 'administrator' },
  { path: '/admin/webhooks/whk_1', as: 'administrator' },
  { path: '/admin/webhooks/whk_1?state=parked', as: 'administrator' },
  {
    path: '/admin/webhooks/whk_1?older={id}',
    as: 'administrator',
    id: `select seq::text as id from deliveries where webhook_id = 'whk_1' order by seq limit 1 offset 100`,
  },
  { path: '/admin/webhooks/new', as: 'administrator' },
  { path: '/admin/connections', as: 'administrator' },
  {
    path: '/admin/connections?after={id}',
    as: 'administrator',
    id: `select '9.' || id as id from connections where state = 'live' order by id limit 1 offset 5000`,
  },
  { path: '/admin/connections?state=reauth_required', as: 'administrator' },
  { path: '/admin/connections?provider=outlook&sub_account=bench', as: 'administrator' },
  { path: '/admin/connections?q=user-77', as: 'administrator' },
  {
    path: '/admin/connections/{id}',
    as: 'administrator',
    id: `select id from connections where state = 'live' order by id limit 1 offset 100`,
  },
  { path: '/admin/conversations', as: 'administrator' },
  {
    path: '/admin/conversations?after={id}',
    as: 'administrator',
    id: `select floor(extract(epoch from updated_at) * 1000) || '.' || id as id from conversations order by id limit 1 offset 5000`,
  },
  { path: '/admin/conversations?q=Contact+77', as: 'administrator' },
  { path: '/admin/conversations?q=contact-77', as: 'administrator' },
  {
    path: '/admin/conversations/{id}',
    as: 'administrator',
    id: 'select id from conversations order by id limit 1 offset 100',
  },
  { path: '/admin/why', as: 'administrator' },
  { path: '/admin/why?q=m77@bench.test', as: 'administrator' },
  { path: '/admin/why?q=contact-77@customer.example', as: 'administrator' },
  {
    path: '/admin/why/{id}',
    as: 'administrator',
    id: 'select id from messages order by id limit 1 offset 100',
  },
  { path: '/admin/keys', as: 'administrator' },
  { path: '/admin/settings', as: 'administrator' },
  { path: '/admin/settings/bench', as: 'administrator' },
  { path: '/admin/configuration', as: 'administrator' },
  { path: '/admin/administrators', as: 'administrator' },
  { path: '/admin/audit', as: 'administrator' },
  { path: '/admin/account', as: 'administrator' },
  { path: '/admin/setup', as: 'administrator' },
  { path: '/admin/sign-in', as: 'nobody' },
  { path: '/mailbox', as: 'user' },
  { path: '/mailbox/mail', as: 'user' },
  {
    path: '/mailbox/mail/message/{id}',
    as: 'user',
    id: `select id from messages where user_id = 'u7' order by id limit 1`,
  },
  { path: '/mailbox/logging-address', as: 'user' },
  { path: '/mailbox/never-log', as: 'user' },
  { path: '/mailbox/older', as: 'user' },
  { path: '/mailbox/disconnect', as: 'user' },
  { path: '/connect/{link}', as: 'nobody' },
];

const askedTimes = 100;

/** Until the first byte of each page, over HTTP, with as much in PostgreSQL as issue 6 asks for. */
export async function measurePages(bench: Bench): Promise<Row[]> {
  const database = await bench.newDatabase();
  await fillForPages(database.db);
  const t = await startPages({ db: database.db });
  const http = await startHttpServer({ app: t.app, host: '127.0.0.1', port: 0 });
  try {
    const cookies = await signIn(database.db);
    const link = await connectLink(database.db);
    const found: Row[] = [];
    for (const [n, { path, as, id }] of pages.entries()) {
      const [row] = id === undefined ? [] : await rows<{ id: string }>(database.db, id);
      const url = `${http.url}${path.replace('{id}', row?.id ?? '').replace('{link}', link)}`;
      // Each from an address of its own: nobody looks at so many pages in so short a time.
      const ms = await measure(url, { cookie: as === 'nobody' ? '' : cookies[as], from: `127.0.0.${n + 2}` });
      found.push({
        what: `ms to the first byte of ${path} (p50, p99)`,
        raw: 'none',
        ours: `${share(ms, 0.5).toFixed(1)}, ${share(ms, 0.99).toFixed(1)}`,
        ratio: '',
        aim: 'p99 ≤ 50',
        sample: `${askedTimes}, ${counts.messages} messages, ${counts.users} connections`,
        load: bench.load(),
      });
    }
    return found;
  } finally {
    await http.stop();
    await t.close();
    await database.drop();
  }
}

async function measure(url: string, { cookie, from }: { cookie: string; from: string }): Promise<number[]> {
  const dispatcher = new Agent({ localAddress: from });
  const found: number[] = [];
  // The first few make connections to the database and plans.
  for (let n = -10; n < askedTimes; n += 1) {
    const startedAt = performance.now();
    const answer = await request(url, { dispatcher, headers: { cookie } });
    const [first] = [await answer.body[Symbol.asyncIterator]().next()];
    const ms = performance.now() - startedAt;
    await answer.body.dump();
    if (answer.statusCode !== 200 || first.done === true) throw new Error(`${url}: ${answer.statusCode}`);
    if (n >= 0) found.push(ms);
  }
  await dispatcher.close();
  return found;
}

async function signIn(db: Db): Promise<Record<'administrator' | 'user', string>> {
  const id = newId('adm');
  await run(
    db,
    `insert into administrators (id, email, canonical) values (:id, 'root@bench.test', 'root@bench.test')`,
    {
      id,
    },
  );
  return {
    administrator: `twoway-admin=${await session(db, { kind: 'administrator', administratorId: id })}`,
    user: `twoway-mailbox=${await session(db, { kind: 'user', subAccountId: 'bench', userId: 'u7', returnUrl: null })}`,
  };
}

async function session(db: Db, of: SignedIn): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  await insertConsoleSession(db, { tokenHash: hashOf(token), of, lifeMs: 3_600_000 });
  return token;
}

async function connectLink(db: Db): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  const link = { subAccountId: 'bench', userId: 'u7', provider: null, returnUrl: null, replace: false };
  await insertConnectLink(db, { ...link, lifeMs: 3_600_000, tokenHash: hashOf(token) });
  return token;
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
