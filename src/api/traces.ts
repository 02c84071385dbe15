import { z } from 'zod';
import type { ConnectionId } from '../lib/id.ts';
import { readConnections } from '../store/connections.ts';
import type { KeyAccess } from '../store/keys.ts';
import { askForTraces, endTraces, listTraces, readTrace } from '../store/wire-traces.ts';
import { audited } from './audited.ts';
import { ApiError, notFound } from './errors.ts';
import { gatewayId, timeField } from './fields.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/connections/{id}/traces`: what is said between the gateway and the mail servers of one mailbox, for a while. */
export function addTraces(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    postRoute,
    async (c) => {
      const id = await administered(deps, c.var.key, c.req.valid('param').id);
      const { minutes } = c.req.valid('json');
      const asked = await audited(c, deps, async (tx, note) => {
        const found = await askForTraces(tx, id, minutes);
        if (found !== null) await note({ action: 'connection.traced', subject: id, details: { minutes } });
        return found;
      });
      if (asked === null)
        throw new ApiError('not_connected', 'The connection has ended, or has no mailbox yet.');
      deps.log.info(
        { mailbox: asked.mailboxId, key_id: c.var.key.id, until: asked.until },
        'a mailbox is traced',
      );
      // The session that is open ends after its next look, so that the traces begin with the greeting.
      deps.wakeMailbox(asked.mailboxId);
      return c.json({ until: asked.until }, 201);
    },
    ['sub_account_key', 'not_connected'],
  );
  addRoute(
    api,
    listRoute,
    async (c) => {
      const id = await administered(deps, c.var.key, c.req.valid('param').id);
      const { until, traces } = await listTraces(deps.db, id);
      return c.json({ until, data: traces }, 200);
    },
    ['sub_account_key'],
  );
  addRoute(
    api,
    getRoute,
    async (c) => {
      const { id, tid } = c.req.valid('param');
      const text = await readTrace(deps.db, await administered(deps, c.var.key, id), tid);
      if (text === null) throw notFound('trace');
      return c.text(text, 200);
    },
    ['sub_account_key'],
  );
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const id = await administered(deps, c.var.key, c.req.valid('param').id);
      await audited(c, deps, async (tx, note) => {
        await endTraces(tx, id);
        await note({ action: 'connection.traces_deleted', subject: id });
      });
      return c.body(null, 204);
    },
    ['sub_account_key'],
  );
}

/** A mailbox may be connected in several sub-accounts, and what its server says is of all of them. */
async function administered({ db }: ApiDeps, key: KeyAccess, id: string): Promise<ConnectionId> {
  const [connection] = await readConnections(db, [id as ConnectionId]);
  const own = key.subAccountId;
  if (connection === undefined || (own !== null && connection.sub_account_id !== own))
    throw notFound('connection');
  if (own !== null)
    throw new ApiError('sub_account_key', 'The mailbox may be connected in other sub-accounts, too.');
  return connection.id;
}

const tags = ['Connections'];
const path = '/v1/connections/{id}/traces';
const params = z.object({ id: gatewayId.describe('`con_…`') });

const traceSchema = z
  .strictObject({
    id: z.string().describe('`trc_…`'),
    protocol: z
      .enum(['imap', 'smtp'])
      .describe('`imap`: with the server that the mailbox is read at; `smtp`: with that by which it sends.'),
    started_at: timeField.describe('When the connection was made.'),
    bytes: z.int().describe('Of its text.'),
  })
  .meta({ id: 'Trace', description: 'What was said on one connection with a mail server of a mailbox.' });

const postRoute = defineRoute({
  method: 'post',
  path,
  tags,
  summary: 'Trace a mailbox for a while',
  description:
    'From the next session on, which begins within a minute, and of what is sent through the mailbox from the next ' +
    'message on. Commands and answers are written down without credentials, ' +
    'without content of mail (bodies, headers, names of files, terms of searches), and of addresses with the domain ' +
    'alone; names of folders stay. Kept for a week.',
  request: {
    params,
    body: jsonBody(
      z
        .strictObject({ minutes: z.int().min(1).max(1_440).describe('After that it ends by itself.') })
        .meta({ id: 'TraceInput', description: 'For how long.' }),
    ),
  },
  responses: {
    201: jsonResponse(z.strictObject({ until: timeField.describe('When it ends.') }), 'It is traced.'),
  },
});

const listRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'List the traces of a mailbox',
  request: { params },
  responses: {
    200: jsonResponse(
      z.strictObject({
        until: timeField.nullable().describe('Until when more are made; null: none are.'),
        data: z.array(traceSchema).describe('The newest first.'),
      }),
      'Its traces.',
    ),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path: `${path}/{tid}`,
  tags,
  summary: 'Read a trace',
  description:
    'In the syntax of the transcripts that the tests play: saved to a file there, it can be played.',
  request: { params: params.extend({ tid: gatewayId.describe('`trc_…`') }) },
  responses: {
    200: { description: 'Its text.', content: { 'text/plain': { schema: z.string() } } },
  },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'End tracing, and forget the traces',
  request: { params },
  responses: { 204: { description: 'They are gone.' } },
});
