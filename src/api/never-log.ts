import { z } from 'zod';
import { domainOf, validAddress } from '../message/addresses.ts';
import { findNeverLog, putNeverLog } from '../store/never-log.ts';
import { findUser } from '../store/users.ts';
import { notFound } from './errors.ts';
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
    const stored = await deps.db.transaction(async (tx) => {
      await putNeverLog(tx, { subAccountId: sid }, entries);
      return findNeverLog(tx, { subAccountId: sid });
    });
    return c.json({ entries: stored }, 200);
  });
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
      const stored = await deps.db.transaction(async (tx) => {
        await requireChangeable(tx, c.var.key, uid);
        await putNeverLog(tx, { userId: uid }, entries);
        return findNeverLog(tx, { userId: uid });
      });
      return c.json({ entries: stored }, 200);
    },
    ['shared_user'],
  );
}

const entriesMax = 10_000;

const entry = z
  .string()
  .refine((text) => validAddress(text.startsWith('@') ? `x@${domainOf(text)}` : text), {
    params: { code: 'invalid_entry' },
    message: 'This is neither an e-mail address nor @ and a domain.',
  })
  .describe('An address, or `@` and a domain, which means itself and nothing below it.');

const listSchema = z
  .strictObject({ entries: z.array(entry).max(entriesMax).describe('Addresses and `@domain`s.') })
  .meta({ id: 'NeverLog', description: 'Addresses and domains whose mail is never stored (S15).' });

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
  responses: { 200: jsonResponse(listSchema, 'The list as it is now, each entry once.') },
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
  responses: { 200: jsonResponse(listSchema, 'The list as it is now, each entry once.') },
});
