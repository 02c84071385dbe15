import { z } from 'zod';
import { inTransaction } from '../store/database.ts';
import { findMember, findUser, joinSubAccount, leaveSubAccount, listMembers } from '../store/users.ts';
import type { Member } from '../store/users.ts';
import { notFound } from './errors.ts';
import { memberParam, subAccountParam, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';
import { shownUser, userFields } from './users.ts';

/** `/v1/sub-accounts/{sid}/users`: who works in a sub-account. */
export function addMembers(api: Api, deps: ApiDeps): void {
  addRoute(api, putRoute, async (c) => {
    const { sid, uid } = c.req.valid('param');
    const membership = { subAccountId: sid, userId: uid };
    const { member, created } = await inTransaction(deps.db, async (tx) => {
      // A key of one sub-account would learn of the users of others by taking them in.
      if ((await findUser(tx, uid, c.var.key.subAccountId)) === undefined) throw notFound('user');
      const joined = await joinSubAccount(tx, membership);
      return { member: joined && (await findMember(tx, membership)), created: joined?.created === true };
    });
    if (!member) throw notFound('user');
    return c.json(shown(member), created ? 201 : 200);
  });
  addRoute(api, deleteRoute, async (c) => {
    const { sid, uid } = c.req.valid('param');
    const membership = { subAccountId: sid, userId: uid };
    if ((await findMember(deps.db, membership)) === undefined) throw notFound('user');
    if (!(await deps.disconnectBefore(membership, (tx) => leaveSubAccount(tx, membership))))
      throw notFound('user');
    return c.body(null, 204);
  });
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit } = c.req.valid('query');
    const { sid } = c.req.valid('param');
    const found = await listMembers(deps.db, {
      subAccountId: sid,
      after: cursor?.[0] ?? '',
      limit: limit + 1,
    });
    return c.json(
      pageOf(found, limit, (member) => [member.id], shown),
      200,
    );
  });
}

const memberSchema = z
  .strictObject({ ...userFields, member_since: timeField.describe('When they became a member.') })
  .meta({ id: 'Member', description: 'A user in one sub-account.' });

const tags = ['Users'];
const path = '/v1/sub-accounts/{sid}/users/{uid}';

const putRoute = defineRoute({
  method: 'put',
  path,
  tags,
  summary: 'Make a user a member',
  description: 'Without a body. Taking in a user of another sub-account needs a key for all of them.',
  request: { params: memberParam },
  responses: {
    200: jsonResponse(memberSchema, 'They were one already.'),
    201: jsonResponse(memberSchema, 'They are one now.'),
  },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'End a membership',
  description:
    'Disconnects their mailbox in this sub-account (C7); contacts that were assigned to them are then ' +
    'assigned to nobody. Stored conversations stay.',
  request: { params: memberParam },
  responses: { 204: { description: 'They are no member any more.' } },
});

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/sub-accounts/{sid}/users',
  tags,
  summary: 'List the members of a sub-account',
  request: { params: subAccountParam, query: pageQuery },
  responses: { 200: jsonResponse(pageSchema(memberSchema, 'MemberPage'), 'Members, by id.') },
});

function shown(member: Member): z.output<typeof memberSchema> {
  return { ...shownUser(member), member_since: member.memberSince };
}
