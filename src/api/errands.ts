import { z } from 'zod';
import { newId } from '../lib/id.ts';
import type { ConnectionId, ErrandId, MailboxId } from '../lib/id.ts';
import { askForAudit } from '../mailbox/asked.ts';
import { findContactAddresses } from '../store/contacts.ts';
import { addErrands, endErrand, findAudit, findBackfill } from '../store/errands.ts';
import type { PublicAudit, PublicBackfill } from '../store/errands.ts';
import { findMailboxOf } from '../store/connections.ts';
import type { KeyAccess } from '../store/keys.ts';
import { ApiError, invalidField, notFound } from './errors.ts';
import { crmId, gatewayId, timeField } from './fields.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/connections/{id}/backfills` and `…/audits`: what is done in a mailbox besides listening (C8, T2). */
export function addErrandRoutes(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    postBackfillRoute,
    async (c) => {
      const connection = await activeConnection(deps, c.var.key, c.req.valid('param').id);
      const { since, until, contact_id: contactId = null, dry_run: dryRun } = c.req.valid('json');
      const now = deps.clock.now();
      const span = { since: msOf(since) ?? 0, until: Math.min(msOf(until) ?? now, now) };
      if (since === undefined && contactId === null) throw required('since', 'A window begins somewhere.');
      if (span.since >= span.until)
        throw required('since', 'The window is empty: it must begin before it ends.');
      if (contactId !== null) await assertContact(deps, connection.subAccountId, contactId);
      const id = newId('bkf');
      const request = { ...span, contactId, dryRun };
      await addErrands(deps.db, [{ id, kind: 'backfill', ...rowOf(connection), request }]);
      deps.wakeErrands();
      return c.json(await backfillOf(deps, connection, id), 202);
    },
    ['not_connected'],
  );
  addRoute(api, getBackfillRoute, async (c) => {
    const { id, bid } = c.req.valid('param');
    const connection = await shownConnection(deps, c.var.key, id);
    return c.json(await backfillOf(deps, connection, bid as ErrandId), 200);
  });
  addRoute(api, deleteBackfillRoute, async (c) => {
    const { id, bid } = c.req.valid('param');
    const connection = await shownConnection(deps, c.var.key, id);
    const backfill = await backfillOf(deps, connection, bid as ErrandId);
    const ended = { id: backfill.id, state: 'cancelled', reason: null, owner: null } as const;
    if (await endErrand(deps.db, ended)) deps.wakePublisher();
    return c.json(await backfillOf(deps, connection, backfill.id), 200);
  });
  addRoute(
    api,
    postAuditRoute,
    async (c) => {
      const connection = await activeConnection(deps, c.var.key, c.req.valid('param').id);
      const { since, heal } = c.req.valid('json');
      const id = await askForAudit(deps, connection, { since: msOf(since) ?? 0, heal });
      return c.json(await auditOf(deps, connection, id), 202);
    },
    ['not_connected'],
  );
  addRoute(api, getAuditRoute, async (c) => {
    const { id, aid } = c.req.valid('param');
    const connection = await shownConnection(deps, c.var.key, id);
    return c.json(await auditOf(deps, connection, aid as ErrandId), 200);
  });
}

/** A connection that the key sees, ended or not. */
async function shownConnection(deps: ApiDeps, key: KeyAccess, id: string) {
  const connection = await findMailboxOf(deps.db, id as ConnectionId);
  const isForeign = key.subAccountId !== null && connection?.subAccountId !== key.subAccountId;
  if (connection === null || isForeign) throw notFound('connection');
  return connection;
}

/** One through which something can be done. */
async function activeConnection(deps: ApiDeps, key: KeyAccess, id: string) {
  const connection = await shownConnection(deps, key, id);
  const { mailboxId, isActive } = connection;
  if (mailboxId === null || !isActive) {
    throw new ApiError('not_connected', 'The connection has ended, or has no mailbox yet.');
  }
  return { ...connection, mailboxId };
}

type OfConnection = { connectionId: ConnectionId; subAccountId: string };

function rowOf({ connectionId, subAccountId, mailboxId }: OfConnection & { mailboxId: MailboxId }) {
  return { sub_account_id: subAccountId, connection_id: connectionId, mailbox_id: mailboxId };
}

async function assertContact(deps: ApiDeps, subAccountId: string, contactId: string): Promise<void> {
  const addresses = await findContactAddresses(deps.db, { subAccountId, contactId });
  if (addresses.length > 0) return;
  const detail = 'The sub-account has no such contact, or it has no address.';
  throw invalidField({ in: 'body', path: 'contact_id', code: 'unknown_contact', detail });
}

function required(path: string, detail: string): ApiError {
  return invalidField({ in: 'body', path, code: 'invalid_window', detail });
}

function msOf(time: string | undefined): number | null {
  return time === undefined ? null : Date.parse(time);
}

/** A backfill of a connection; that of another one is as unknown as one that is not there. */
async function backfillOf(deps: ApiDeps, of: OfConnection, id: ErrandId): Promise<PublicBackfill> {
  const backfill = await findBackfill(deps.db, { subAccountId: of.subAccountId, id });
  if (backfill?.connection_id !== of.connectionId) throw notFound('backfill');
  return backfill;
}

async function auditOf(deps: ApiDeps, of: OfConnection, id: ErrandId): Promise<PublicAudit> {
  const audit = await findAudit(deps.db, { subAccountId: of.subAccountId, id });
  if (audit?.connection_id !== of.connectionId) throw notFound('audit');
  return audit;
}

const stateField = z
  .enum(['queued', 'running', 'waiting', 'finished', 'failed', 'cancelled'])
  .describe('`waiting`: it goes on by itself, see `reason`. What a cancelled one has stored stays.');
const reasonField = z
  .string()
  .nullable()
  .describe(
    "What it waits for (`byte_budget`: the day's download is used up; `catching_up`, `paused`, `reauth_required`, " +
      'or the trouble with the provider), or why it ended; `folder_left_out`: but for a folder that cannot be read.',
  );

const backfillSchema = z
  .strictObject({
    id: z.string().describe('`bkf_…`'),
    connection_id: z.string().describe('`con_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    state: stateField,
    reason: reasonField,
    created_at: timeField.describe('When it was asked for.'),
    ended_at: timeField.nullable().describe('When it ended; null while it goes on.'),
    since: timeField.describe('Mail is read that the provider received from then on.'),
    until: timeField.describe('Until then.'),
    contact_id: z.string().nullable().describe('Only mail from and to this contact; null: all.'),
    dry_run: z.boolean().describe('It only says what would be stored.'),
    seen: z.int().describe('Messages that were judged so far.'),
    stored: z.int().describe('Of these, in the CRM now (or, of a dry run, if it were done).'),
    skipped: z.record(z.string(), z.int()).describe('Left out, by the reason, as in decisions.'),
    failed: z.int().describe('Could not be read.'),
    bytes: z.int().describe('Downloaded so far.'),
    share: z.number().describe('How much of the window is done, from 0 to 1.'),
  })
  .meta({ id: 'Backfill', description: 'Older mail that is read by the same rules (C8).' });

const auditSchema = z
  .strictObject({
    id: z.string().describe('`aud_…`'),
    connection_id: z.string().describe('`con_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    state: stateField,
    reason: reasonField,
    created_at: timeField.describe('When it was asked for.'),
    ended_at: timeField.nullable().describe('When it ended; null while it goes on.'),
    since: timeField.describe('Mail is looked at that the provider received from then on.'),
    heal: z.boolean().describe('What has no decision is judged.'),
    messages: z.int().describe('Messages in the mailbox that were looked at so far.'),
    decided: z.int().describe('Of these, had a decision.'),
    missing: z.int().describe('Had none.'),
    healed: z.int().describe('Had none, and were judged by this audit.'),
    covered: z.number().nullable().describe('The share that has a decision now, from 0 to 1; null of none.'),
  })
  .meta({
    id: 'Audit',
    description: 'A mailbox compared with the decisions about it, header by header (T2).',
  });

const tags = ['Connections'];
const connectionParam = z.object({ id: gatewayId.describe('The connection, `con_…`.') });
const backfillParam = connectionParam.extend({ bid: gatewayId.describe('`bkf_…`') });
const auditParam = connectionParam.extend({ aid: gatewayId.describe('`aud_…`') });

const postBackfillRoute = defineRoute({
  method: 'post',
  path: '/v1/connections/{id}/backfills',
  tags,
  summary: 'Read older mail',
  description:
    'C8: mail from before the connection, of a window or of one contact, judged by the same rules. It shows its ' +
    'progress, keeps a daily budget of bytes, and goes on by itself after an interruption. A dry run says first ' +
    'what would be stored, from headers alone. `backfill.finished` tells of its end.',
  request: {
    params: connectionParam,
    body: jsonBody(
      z
        .strictObject({
          since: timeField.optional().describe('From when on; may be left out where `contact_id` is given.'),
          until: timeField.optional().describe('Until when; by default, now.'),
          contact_id: crmId.nullable().optional().describe('Only mail from and to this contact (S16).'),
          dry_run: z.boolean().default(false).describe('Count only.'),
        })
        .meta({ id: 'BackfillInput', description: 'What to read.' }),
    ),
  },
  responses: { 202: jsonResponse(backfillSchema, 'It is queued.') },
});

const getBackfillRoute = defineRoute({
  method: 'get',
  path: '/v1/connections/{id}/backfills/{bid}',
  tags,
  summary: 'Show a backfill',
  request: { params: backfillParam },
  responses: { 200: jsonResponse(backfillSchema, 'Its progress.') },
});

const deleteBackfillRoute = defineRoute({
  method: 'delete',
  path: '/v1/connections/{id}/backfills/{bid}',
  tags,
  summary: 'Cancel a backfill',
  description: 'It ends at once; what it has stored stays. One that has ended stays as it is.',
  request: { params: backfillParam },
  responses: { 200: jsonResponse(backfillSchema, 'It has ended.') },
});

const postAuditRoute = defineRoute({
  method: 'post',
  path: '/v1/connections/{id}/audits',
  tags,
  summary: 'Audit a mailbox',
  description:
    'T2: every message that the mailbox holds since a time, and since the connection began, is looked for among ' +
    'the decisions. With `heal` what is missing is judged. `audit.finished` tells of its end.',
  request: {
    params: connectionParam,
    body: jsonBody(
      z
        .strictObject({
          since: timeField.optional().describe('From when on; by default, since the connection began.'),
          heal: z.boolean().default(true).describe('Judge what is missing.'),
        })
        .meta({ id: 'AuditInput', description: 'What to compare.' }),
    ),
  },
  responses: { 202: jsonResponse(auditSchema, 'It is queued.') },
});

const getAuditRoute = defineRoute({
  method: 'get',
  path: '/v1/connections/{id}/audits/{aid}',
  tags,
  summary: 'Show an audit',
  request: { params: auditParam },
  responses: { 200: jsonResponse(auditSchema, 'What it found so far.') },
});
