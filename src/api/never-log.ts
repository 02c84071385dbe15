import { z } from 'zod';
import { eraseNeverLogged } from '../outbound/erasing.ts';
import { inTransaction } from '../store/database.ts';
import type { KeyAccess } from '../store/keys.ts';
import {
  findNeverLog,
  isNeverLogEntry,
  neverLogEntriesMax,
  neverLogPattern,
  putNeverLog,
} from '../store/never-log.ts';
import { countNeverLogged, subAccountsOfUser } from '../store/never-logged.ts';
import type { NeverLogScope } from '../store/never-logged.ts';
import { findUser } from '../store/users.ts';
import { erasedSchema, erasing } from './erasing.ts';
import { ApiError, notFound } from './errors.ts';
import { subAccountParam, userParam } from './fields.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';
import { requireChangeable } from './users.ts';

/** The never-log lists (S15) of sub-accounts and of users. */
export function addNeverLog(api: Api, deps: ApiDeps): void {
  addRoute(api, getOfSubAccountRoute, async (c) => {
    const { sid } = c.req.valid('param');
    return c.json({ entries: await findNeverLog(deps.db, { subAccountId: sid }) }, 200);
  });
  addRoute(api, putOfSubAccountRoute, async (c) => {
    const { sid } = c.req.valid('param');
    const { entries } = c.req.valid('json');
    const stored = await inTransaction(deps.db, async (tx) => {
      await putNeverLog(tx, { subAccountId: sid }, entries);
      return findNeverLog(tx, { subAccountId: sid });
    });
    return c.json(await offered(deps, stored, [{ subAccountId: sid, userId: null }]), 200);
  });
  addRoute(
    api,
    eraseOfSubAccountRoute,
    async (c) => {
      const { sid } = c.req.valid('param');
      const { entries } = c.req.valid('json');
      requireListed(entries, await findNeverLog(deps.db, { subAccountId: sid }));
      return c.json(
        { erased: await erasing(eraseNeverLogged(deps, entries, [{ subAccountId: sid, userId: null }])) },
        200,
      );
    },
    ['being_sent'],
  );
  addListOfUser(api, deps);
}

function addListOfUser(api: Api, deps: ApiDeps): void {
  const scopesOf = async (uid: string, key: KeyAccess): Promise<NeverLogScope[]> =>
    (await subAccountsOfUser(deps.db, uid, key.subAccountId)).map((id) => ({
      subAccountId: id,
      userId: uid,
    }));
  addRoute(api, getOfUserRoute, async (c) => {
    const { uid } = c.req.valid('param');
    if ((await findUser(deps.db, uid, c.var.key.subAccountId)) === undefined) throw notFound('user');
    return c.json({ entries: await findNeverLog(deps.db, { userId: uid }) }, 200);
  });
  addRoute(
    api,
    putOfUserRoute,
    async (c) => {
      const { uid } = c.req.valid('param');
      const { entries } = c.req.valid('json');
      const stored = await inTransaction(deps.db, async (tx) => {
        await requireChangeable(tx, c.var.key, uid);
        await putNeverLog(tx, { userId: uid }, entries);
        return findNeverLog(tx, { userId: uid });
      });
      return c.json(await offered(deps, stored, await scopesOf(uid, c.var.key)), 200);
    },
    ['shared_user'],
  );
  addRoute(
    api,
    eraseOfUserRoute,
    async (c) => {
      const { uid } = c.req.valid('param');
      const { entries } = c.req.valid('json');
      const listed = await inTransaction(deps.db, async (tx) => {
        await requireChangeable(tx, c.var.key, uid);
        return findNeverLog(tx, { userId: uid });
      });
      requireListed(entries, listed);
      return c.json(
        { erased: await erasing(eraseNeverLogged(deps, entries, await scopesOf(uid, c.var.key))) },
        200,
      );
    },
    ['shared_user', 'being_sent'],
  );
}

/** A list as it was put, with what is stored of the entries on it. */
async function offered(
  deps: ApiDeps,
  entries: readonly string[],
  scopes: readonly NeverLogScope[],
): Promise<z.output<typeof offerSchema>> {
  const counts = await countNeverLogged(deps.db, entries, scopes);
  const stored = entries.map((entry) => ({ entry, messages: counts.get(neverLogPattern(entry)) ?? 0 }));
  return { entries: [...entries], stored: stored.filter(({ messages }) => messages > 0) };
}

function requireListed(entries: readonly string[], listed: readonly string[]): void {
  const patterns = new Set(listed.map(neverLogPattern));
  const fields = entries.flatMap((entry, n) =>
    patterns.has(neverLogPattern(entry))
      ? []
      : [
          {
            in: 'body',
            path: `entries.${n}`,
            code: 'unknown_entry',
            detail: 'It is not on the list.',
          } as const,
        ],
  );
  if (fields.length > 0) throw new ApiError('invalid_request', 'See errors for each field.', { fields });
}

const entry = z
  .string()
  .refine(isNeverLogEntry, {
    params: { code: 'invalid_entry' },
    message: 'This is neither an e-mail address nor @ and a domain.',
  })
  .describe('An address, or `@` and a domain, which means itself and nothing below it.');

const listSchema = z
  .strictObject({ entries: z.array(entry).max(neverLogEntriesMax).describe('Addresses and `@domain`s.') })
  .meta({ id: 'NeverLog', description: 'Addresses and domains whose mail is never stored (S15).' });

const offerSchema = listSchema
  .extend({
    stored: z
      .array(
        z.strictObject({
          entry: z.string().describe('An entry of the list.'),
          messages: z.int().describe('How many stored messages it is about: From, To, Cc or Bcc.'),
        }),
      )
      .describe(
        'Entries of which something is stored: `POST …/never-log/erase` erases it. A list alone erases nothing.',
      ),
  })
  .meta({
    id: 'NeverLogPut',
    description: 'A never-log list as it was put, and what is stored of those on it.',
  });

const eraseSchema = z
  .strictObject({ entries: z.array(entry).min(1).max(neverLogEntriesMax).describe('Entries of the list.') })
  .meta({ id: 'NeverLogErase', description: 'Of whom everything stored is to be erased.' });

const tags = ['Never-log lists'];
const ofSubAccount = '/v1/sub-accounts/{sid}/never-log';
const ofUser = '/v1/users/{uid}/never-log';

const getOfSubAccountRoute = defineRoute({
  method: 'get',
  path: ofSubAccount,
  tags,
  summary: 'Show the list of a sub-account',
  request: { params: subAccountParam },
  responses: { 200: jsonResponse(listSchema, 'The list; empty when none was put.') },
});

const putOfSubAccountRoute = defineRoute({
  method: 'put',
  path: ofSubAccount,
  tags,
  summary: 'Replace the list of a sub-account',
  request: { params: subAccountParam, body: jsonBody(listSchema) },
  responses: { 200: jsonResponse(offerSchema, 'The list as it is now, each entry once.') },
});

const eraseOfSubAccountRoute = defineRoute({
  method: 'post',
  path: `${ofSubAccount}/erase`,
  tags,
  summary: 'Erase what is stored of entries',
  description:
    'Every message of the sub-account on which one of them is, as by `DELETE …/messages/{id}`. A call that was ' +
    'interrupted goes on when it is repeated.',
  request: { params: subAccountParam, body: jsonBody(eraseSchema) },
  responses: { 200: jsonResponse(erasedSchema, 'It is erased.') },
});

const getOfUserRoute = defineRoute({
  method: 'get',
  path: ofUser,
  tags,
  summary: 'Show the list of a user',
  request: { params: userParam },
  responses: { 200: jsonResponse(listSchema, 'The list; empty when none was put.') },
});

const putOfUserRoute = defineRoute({
  method: 'put',
  path: ofUser,
  tags,
  summary: 'Replace the list of a user',
  description: 'It holds in every sub-account in which the user connected a mailbox.',
  request: { params: userParam, body: jsonBody(listSchema) },
  responses: { 200: jsonResponse(offerSchema, 'The list as it is now, each entry once.') },
});

const eraseOfUserRoute = defineRoute({
  method: 'post',
  path: `${ofUser}/erase`,
  tags,
  summary: 'Erase what is stored of entries of a user’s list',
  description:
    'What this user’s mailboxes brought, or the CRM sent for them, in every sub-account that the key sees; nothing that ' +
    'the mailbox of somebody else brought, too. A call that was interrupted goes on when it is repeated.',
  request: { params: userParam, body: jsonBody(eraseSchema) },
  responses: { 200: jsonResponse(erasedSchema, 'It is erased.') },
});
