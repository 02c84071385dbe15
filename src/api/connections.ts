import { z } from 'zod';
import { pauseOrResume } from '../mailbox/asked.ts';
import { LoginProblem } from '../mailbox/prove.ts';
import type { ConnectionId } from '../lib/id.ts';
import { eraseBrought } from '../outbound/erasing.ts';
import { connectionStates } from '../provider/connection-states.ts';
import type { ConnectionState } from '../provider/connection-states.ts';
import { findConnection, listConnections, readConnections } from '../store/connections.ts';
import type { PublicConnection } from '../store/connections.ts';
import type { KeyAccess } from '../store/keys.ts';
import { setMailboxLimits } from '../store/mailboxes.ts';
import { findMember } from '../store/users.ts';
import { erasedSchema, erasing } from './erasing.ts';
import { limitsInputSchema, limitsSaid, limitsSchema, withLimits } from './connection-limits.ts';
import { ApiError, notFound } from './errors.ts';
import type { ProblemCode } from './errors.ts';
import { addressField, crmId, gatewayId, memberParam, plainText, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `…/users/{uid}/connection` and `/v1/connections`: which mailbox a user has connected, and how it does. */
export function addConnections(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    putRoute,
    async (c) => {
      const { sid, uid } = c.req.valid('param');
      if ((await findMember(deps.db, { subAccountId: sid, userId: uid })) === undefined)
        throw notFound('user');
      const done = await connect(deps, { subAccountId: sid, userId: uid }, c.req.valid('json'));
      const [connection] = await readConnections(deps.db, [done.connectionId]);
      if (connection === undefined) throw new Error('a connection that was made is not there');
      return c.json(await shown(deps, connection), done.created ? 201 : 200);
    },
    ['not_available', ...loginProblems],
  );
  addRoute(api, getRoute, async (c) => {
    const { sid, uid } = c.req.valid('param');
    const connection = await findConnection(deps.db, { subAccountId: sid, userId: uid });
    if (connection === null) throw notFound('connection');
    return c.json(await shown(deps, connection), 200);
  });
  addRoute(api, deleteRoute, async (c) => {
    const { sid, uid } = c.req.valid('param');
    const connection = await findConnection(deps.db, { subAccountId: sid, userId: uid });
    if (connection === null || connection.ended_at !== null) throw notFound('connection');
    await deps.disconnect({ subAccountId: sid, userId: uid });
    return c.body(null, 204);
  });
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit, state = null, sub_account_id: asked = null } = c.req.valid('query');
    const own = c.var.key.subAccountId;
    // Another tenant's list is as empty as that of a sub-account that is not there.
    const isForeign = own !== null && asked !== null && asked !== own;
    const filter = { state, subAccountId: own ?? asked };
    const found = isForeign
      ? []
      : await listConnections(deps.db, filter, { after: cursor?.[0] ?? null, limit: limit + 1 });
    const limited = await withLimits(deps, found);
    return c.json(
      pageOf(
        limited,
        limit,
        (connection) => [connection.id],
        (connection) => connection,
      ),
      200,
    );
  });
  addConnectionsById(api, deps);
}

function addConnectionsById(api: Api, deps: ApiDeps): void {
  addRoute(api, getByIdRoute, async (c) =>
    c.json(await shown(deps, await connectionOf(deps, c.var.key, c.req.valid('param').id)), 200),
  );
  addRoute(
    api,
    putLimitsRoute,
    async (c) => {
      const connection = await connectionOf(deps, c.var.key, c.req.valid('param').id);
      if (c.var.key.subAccountId !== null)
        throw new ApiError('sub_account_key', 'The mailbox may be connected in other sub-accounts, too.');
      const limits = limitsSaid(c.req.valid('json'));
      if (connection.ended_at !== null || !(await setMailboxLimits(deps.db, connection.id, limits)))
        throw new ApiError('not_connected', 'The connection has ended, or has no mailbox yet.');
      return c.json(await shown(deps, connection), 200);
    },
    ['sub_account_key', 'not_connected'],
  );
  addRoute(
    api,
    eraseRoute,
    async (c) => {
      const connection = await connectionOf(deps, c.var.key, c.req.valid('param').id);
      const of = { id: connection.id, subAccountId: connection.sub_account_id };
      return c.json({ erased: await erasing(eraseBrought(deps, of)) }, 200);
    },
    ['still_connected', 'being_sent'],
  );
  for (const { route, verb } of [
    { route: pauseRoute, verb: 'pause' },
    { route: resumeRoute, verb: 'resume' },
  ] as const) {
    addRoute(
      api,
      route,
      async (c) => {
        const id = c.req.valid('param').id as ConnectionId;
        return c.json(await shown(deps, await changed(deps, c.var.key, id, verb)), 200);
      },
      ['not_connected'],
    );
  }
}

async function shown(deps: ApiDeps, connection: PublicConnection) {
  const [limited] = await withLimits(deps, [connection]);
  if (limited === undefined) throw new Error(`${connection.id} was not shown`);
  return limited;
}

/** A connection by its id, if the key may see it. */
async function connectionOf(deps: ApiDeps, key: KeyAccess, id: string): Promise<PublicConnection> {
  const [connection] = await readConnections(deps.db, [id as ConnectionId]);
  const own = key.subAccountId;
  if (connection === undefined || (own !== null && connection.sub_account_id !== own))
    throw notFound('connection');
  return connection;
}

/** Pauses or resumes a connection that the key sees, and answers it. */
async function changed(
  deps: ApiDeps,
  key: KeyAccess,
  id: ConnectionId,
  verb: 'pause' | 'resume',
): Promise<PublicConnection> {
  await connectionOf(deps, key, id);
  if (!(await pauseOrResume(deps, id, verb)))
    throw new ApiError('not_connected', 'The connection has ended, or has no mailbox yet.');
  return connectionOf(deps, key, id);
}

/** Connects a generic mailbox; PUT replaces, so that another one takes the place of the connected one (C6). */
async function connect(
  deps: ApiDeps,
  member: { subAccountId: string; userId: string },
  body: z.output<typeof putSchema>,
): Promise<{ connectionId: ConnectionId; created: boolean }> {
  const { email, imap, smtp, auth } = body;
  if (auth.kind === 'oauth2') {
    throw new ApiError(
      'not_available',
      'A generic mailbox logs in by password; OAuth 2 is not available yet.',
    );
  }
  const login = { imap, smtp, user: auth.username ?? email, password: auth.password };
  const request = { ...member, replace: true, linkId: null };
  const result = await deps
    .connectWithPassword({ ...request, address: email, login })
    .catch((error: unknown) => {
      if (!(error instanceof LoginProblem)) throw error;
      throw new ApiError(error.code, details[error.code], { members: { step: error.step } });
    });
  switch (result.outcome) {
    case 'connected':
      return result;
    case 'not_a_member':
      throw notFound('user');
    case 'wrong_identity':
    case 'permission_missing':
    case 'link_used':
    case 'to_confirm':
      throw new Error(`a password came to ${result.outcome}`);
    default:
      return result satisfies never;
  }
}

const details = {
  imap_unreachable: 'The IMAP server gave no usable answer. Nothing was stored.',
  imap_login_refused: 'The IMAP server refused the user name or the password. Nothing was stored.',
  smtp_unreachable: 'The SMTP server gave no usable answer. Nothing was stored.',
  smtp_login_refused: 'The IMAP server took the login and the SMTP server refused it. Nothing was stored.',
  tls_untrusted: 'The certificate of the server named by `step` is not trusted. Nothing was stored.',
  tls_failed:
    'The server named by `step` does not speak that kind of encryption at that port. Nothing was stored.',
  private_address: 'The host named by `step` is in a private network that is not allowed, or is no host.',
} satisfies Record<LoginProblem['code'], string>;

const loginProblems = Object.keys(details) as (keyof typeof details & ProblemCode)[];

const serverField = (what: string) =>
  z
    .strictObject({
      host: plainText(253)
        .refine((text) => /^[^\s/\\@?#]+$/.test(text), {
          params: { code: 'invalid_host' },
          message: 'This is no host name and no address.',
        })
        .describe('Name or address. Private networks must be allowed by the operator.'),
      port: z.int().min(1).max(65_535).describe('Usually 993 or 143 for IMAP, 465 or 587 for SMTP.'),
      security: z
        .enum(['tls', 'starttls', 'none'])
        .describe('`tls` from the first byte; `starttls`: required; `none`: nothing is encrypted.'),
    })
    .describe(what);

const putSchema = z
  .strictObject({
    provider: z.literal('imap').describe('Every other provider is connected by a link.'),
    email: addressField.describe('Address of the mailbox.'),
    imap: serverField('Where mail is read.'),
    smtp: serverField('Where mail is sent.'),
    auth: z
      .discriminatedUnion('kind', [
        z.strictObject({
          kind: z.literal('password').describe('A login by user name and password.'),
          username: plainText(320).min(1).optional().describe('The address, where it is left out.'),
          password: plainText(1024).min(1).describe('Kept sealed and never returned.'),
        }),
        z.looseObject({ kind: z.literal('oauth2').describe('Not available yet.') }),
      ])
      .describe('How to log in, at both servers alike.'),
  })
  .meta({ id: 'ConnectionPut', description: 'A generic mailbox. Its login is proven before the answer.' });

const stateField = z.enum(Object.keys(connectionStates) as [ConnectionState, ...ConnectionState[]]);

const connectionSchema = z
  .strictObject({
    id: z.string().describe('`con_…`'),
    sub_account_id: z.string().describe('Where the conversations are.'),
    user_id: z.string().describe('Whose connection it is.'),
    provider: z.enum(['gmail', 'outlook', 'imap', 'sandbox']).describe('Where the mailbox is.'),
    email: z
      .string()
      .nullable()
      .describe(
        'Address of the mailbox, from the provider’s identity token (C2); null while there is none yet.',
      ),
    state: stateField.describe('What is true of it (C5).'),
    reason: z.string().nullable().describe('Cause of the state, where it has one; a word for machines.'),
    remedy: z.string().describe('What a person can do, in a sentence.'),
    state_since: timeField.describe('When the state began.'),
    next_try_at: timeField.nullable().describe('When the provider is tried again, where something stops us.'),
    caught_up_to: timeField
      .nullable()
      .describe('Up to this time every message of the mailbox has a decision; null before the first look.'),
    backlog: z.int().describe('Messages that are known to be there and are not judged yet.'),
    started_at: timeField.describe('The sync started from here.'),
    ended_at: timeField.nullable().describe('When it was superseded or disconnected.'),
    limits: limitsSchema,
  })
  .meta({ id: 'Connection', description: 'A user’s link, in one sub-account, to a mailbox.' });

const tags = ['Connections'];
const path = '/v1/sub-accounts/{sid}/users/{uid}/connection';

const putRoute = defineRoute({
  method: 'put',
  path,
  tags,
  summary: 'Connect a generic mailbox',
  description:
    'Logs in at both servers before it answers, which can take a minute. Where the user has another mailbox ' +
    'connected here, this one takes its place (C6); if the login fails, that one goes on untouched.',
  request: { params: memberParam, body: jsonBody(putSchema) },
  responses: {
    200: jsonResponse(connectionSchema, 'It was connected already, and has the new login now.'),
    201: jsonResponse(connectionSchema, 'It is connected.'),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'Show a user’s connection',
  description: 'The one that they have in this sub-account, or had last.',
  request: { params: memberParam },
  responses: { 200: jsonResponse(connectionSchema, 'The connection.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'Disconnect',
  description:
    'C7: its threads are unlinked and nothing later syncs; stored conversations stay. What waits to be sent through it, ' +
    'also for its `send_at`, fails within seconds (`mailbox_disconnected`). With the last connection of a ' +
    'mailbox the credential is erased, and the grant revoked at the provider. Connecting again starts from then.',
  request: { params: memberParam },
  responses: { 204: { description: 'It is ended.' } },
});

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/connections',
  tags,
  summary: 'List connections',
  request: {
    query: pageQuery.extend({
      state: stateField.optional().describe('Only those in this state.'),
      sub_account_id: crmId.optional().describe('Only those of this sub-account.'),
    }),
  },
  responses: {
    200: jsonResponse(pageSchema(connectionSchema, 'ConnectionPage'), 'Connections, the newest first.'),
  },
});

const getByIdRoute = defineRoute({
  method: 'get',
  path: '/v1/connections/{id}',
  tags,
  summary: 'Show a connection',
  request: { params: z.object({ id: gatewayId.describe('`con_…`') }) },
  responses: { 200: jsonResponse(connectionSchema, 'The connection.') },
});

const putLimitsRoute = defineRoute({
  method: 'put',
  path: '/v1/connections/{id}/limits',
  tags,
  summary: 'Set the limits of a mailbox',
  description:
    'L4: of the mailbox of a connection, wherever it is connected; so it takes a key for all sub-accounts. What is left ' +
    'out is as the provider has it, null is no limit. Mail that was judged, or waits for its time, stays as it is.',
  request: {
    params: z.object({ id: gatewayId.describe('`con_…`') }),
    body: jsonBody(limitsInputSchema),
  },
  responses: {
    200: jsonResponse(connectionSchema, 'The connection, with the limits that are in force now.'),
  },
});

const verb = (name: 'pause' | 'resume', summary: string, description: string) =>
  defineRoute({
    method: 'post',
    path: `/v1/connections/{id}/${name}`,
    tags,
    summary,
    description,
    request: { params: z.object({ id: gatewayId.describe('`con_…`') }) },
    responses: { 200: jsonResponse(connectionSchema, 'The connection.') },
  });

const pauseRoute = verb(
  'pause',
  'Pause a connection',
  'Nothing is decided for it, and what the CRM sends through it is held, until it is resumed. Threads stay as they are.',
);

const resumeRoute = verb(
  'resume',
  'Resume a connection',
  'What came while it was paused is judged now, by the rules of now.',
);

const eraseRoute = defineRoute({
  method: 'post',
  path: '/v1/connections/{id}/erase',
  tags,
  summary: 'Erase what a connection brought',
  description:
    'C7: after it has ended. Every message that the mailbox brought into the sub-account is erased, as by ' +
    '`DELETE …/messages/{id}`; what the CRM sent stays, and what another mailbox of the sub-account brought, too. Who ' +
    'connects again starts from then, as ever. A call that was interrupted goes on when it is repeated.',
  request: { params: z.object({ id: gatewayId.describe('`con_…`') }) },
  responses: { 200: jsonResponse(erasedSchema, 'It is erased.') },
});
