import { z } from 'zod';
import { inTransaction } from '../store/database.ts';
import type { Db } from '../store/database.ts';
import type { KeyAccess } from '../store/keys.ts';
import { deleteUser, findUser, joinSubAccount, putUser, userStanding } from '../store/users.ts';
import type { User } from '../store/users.ts';
import { ApiError, notFound } from './errors.ts';
import { addressField, plainText, timeField, userParam } from './fields.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/users/{uid}`: the people who work in the CRM, each once, whatever sub-accounts they work in. */
export function addUsers(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    putRoute,
    async (c) => {
      const { uid } = c.req.valid('param');
      const { name, email, aliases } = c.req.valid('json');
      const { subAccountId } = c.var.key;
      const { user, created } = await inTransaction(deps.db, async (tx) => {
        await requireChangeable(tx, c.var.key, uid, { mayBeAbsent: true });
        const put = await putUser(tx, { id: uid, name, email, aliases });
        if (put.created && subAccountId !== null) await joinSubAccount(tx, { subAccountId, userId: uid });
        return put;
      });
      return c.json(shownUser(user), created ? 201 : 200);
    },
    ['shared_user'],
  );
  addRoute(api, getRoute, async (c) => {
    const user = await findUser(deps.db, c.req.valid('param').uid, c.var.key.subAccountId);
    if (user === undefined) throw notFound('user');
    return c.json(shownUser(user), 200);
  });
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const { uid } = c.req.valid('param');
      await inTransaction(deps.db, (tx) => requireChangeable(tx, c.var.key, uid));
      const deleted = await deps.disconnectBefore({ userId: uid }, async (tx) => {
        await requireChangeable(tx, c.var.key, uid);
        return deleteUser(tx, uid);
      });
      if (!deleted) throw notFound('user');
      return c.body(null, 204);
    },
    ['shared_user'],
  );
}

/**
 * Throws unless this key may change this user: a key for all sub-accounts any, a key of one those
 * that are members of it and of no other. Locks the user for the rest of the transaction.
 */
export async function requireChangeable(
  tx: Db,
  key: KeyAccess,
  userId: string,
  options: { mayBeAbsent?: boolean } = {},
): Promise<void> {
  if (key.subAccountId === null) {
    if (options.mayBeAbsent !== true && (await findUser(tx, userId, null)) === undefined)
      throw notFound('user');
    return;
  }
  const standing = await userStanding(tx, userId, key.subAccountId);
  if (standing === 'own' || (standing === 'absent' && options.mayBeAbsent === true)) return;
  if (standing === 'shared') {
    throw new ApiError('shared_user', 'Only a key for all sub-accounts changes a user of several.');
  }
  throw notFound('user');
}

const putSchema = z
  .strictObject({
    name: plainText(500).default('').describe('For people.'),
    email: addressField.describe('Login address. Mail between it and a colleague is never stored (S7).'),
    aliases: z.array(addressField).max(50).default([]).describe('Further addresses that are theirs (S7).'),
  })
  .meta({ id: 'UserPut', description: 'A user, as they shall be.' });

export const userFields = {
  id: z.string().describe("The CRM's id."),
  name: z.string().describe('For people.'),
  email: z.string().describe('Login address, as written.'),
  aliases: z.array(z.string()).describe('Further addresses that are theirs, as written.'),
  created_at: timeField.describe('When they were made here.'),
  updated_at: timeField.describe('When anything above last changed.'),
};

const userSchema = z
  .strictObject(userFields)
  .meta({ id: 'User', description: 'A person who works in the CRM.' });

const tags = ['Users'];
const path = '/v1/users/{uid}';

const putRoute = defineRoute({
  method: 'put',
  path,
  tags,
  summary: 'Create or replace a user',
  description:
    'A user that a key of one sub-account makes becomes a member of it. Such a key changes users that are ' +
    'members of no other sub-account; an id that is in use elsewhere answers 404.',
  request: { params: userParam, body: jsonBody(putSchema) },
  responses: {
    200: jsonResponse(userSchema, 'They were there, and are now as given.'),
    201: jsonResponse(userSchema, 'They were made.'),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'Show a user',
  request: { params: userParam },
  responses: { 200: jsonResponse(userSchema, 'The user.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'Delete a user',
  description:
    'Disconnects their mailboxes (C7) and ends their memberships and assignments. Stored conversations stay.',
  request: { params: userParam },
  responses: { 204: { description: 'They are gone.' } },
});

/** A user as the API shows them. */
export function shownUser(user: User): z.output<typeof userSchema> {
  const { id, name, email, aliases, createdAt, updatedAt } = user;
  return { id, name, email, aliases, created_at: createdAt, updated_at: updatedAt };
}
