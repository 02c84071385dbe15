import { z } from 'zod';
import { Failure } from '../lib/failure.ts';
import { newId } from '../lib/id.ts';
import { listDeliveries, retryDelivery } from '../store/delivery-list.ts';
import type { DeliveryRow } from '../store/delivery-list.ts';
import { eventTypes } from '../store/events.ts';
import { deleteWebhook, findWebhook, insertWebhook, listWebhooks, updateWebhook } from '../store/webhooks.ts';
import type { WebhookRow } from '../store/webhooks.ts';
import { probeWebhook } from '../webhook/probe.ts';
import { newSecret, replaceSecret } from '../webhook/sign.ts';
import { audited } from './audited.ts';
import { subAccountCheck } from './auth.ts';
import { ApiError, notFound } from './errors.ts';
import { crmId, gatewayId, plainText, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, fieldCheck, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps, FieldCheck } from './route.ts';

/** `/v1/webhooks`: where events go, and what became of each delivery (W2). */
export function addWebhooks(api: Api, deps: ApiDeps): void {
  addPost(api, deps);
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit } = c.req.valid('query');
    const { subAccountId } = c.var.key;
    const found = await listWebhooks(deps.db, { subAccountId, after: cursor?.[0] ?? '', limit: limit + 1 });
    return c.json(
      pageOf(found, limit, (webhook) => [webhook.id], shown),
      200,
    );
  });
  addRoute(api, getRoute, async (c) => {
    return c.json(shown(await find(deps, c.req.valid('param').wid, c.var.key.subAccountId)), 200);
  });
  addPatch(api, deps);
  addRoute(api, deleteRoute, async (c) => {
    const webhook = await find(deps, c.req.valid('param').wid, c.var.key.subAccountId);
    await audited(c, deps, async (tx, note) => {
      await deleteWebhook(tx, webhook.id);
      await note({ action: 'webhook.deleted', subject: webhook.id, details: { url: webhook.url } });
    });
    return c.body(null, 204);
  });
  addRoute(api, testRoute, async (c) => {
    const webhook = await find(deps, c.req.valid('param').wid, c.var.key.subAccountId);
    const { delivered, status, error, tookMs } = await probeWebhook(deps, webhook);
    return c.json({ delivered, status, error, took_ms: tookMs }, 200);
  });
  addDeliveries(api, deps);
}

function addPost(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    postRoute,
    async (c) => {
      const own = c.var.key.subAccountId;
      const { url, types, sub_account_id: subAccountId = own } = c.req.valid('json');
      if (own !== null && subAccountId === null) {
        throw new ApiError('sub_account_key', 'A key of one sub-account makes webhooks for that one.');
      }
      const id = newId('whk');
      const { secret, sealed } = newSecret(deps.secretBox, id);
      await audited(c, deps, async (tx, note) => {
        await insertWebhook(tx, { id, subAccountId, url, types, secretSealed: sealed });
        await note({ action: 'webhook.made', subject: id, details: { url, sub_account_id: subAccountId } });
      });
      return c.json({ ...shown(await find(deps, id, own)), secret }, 201);
    },
    ['sub_account_key'],
    { fieldChecks: [urlCheck(deps), subAccountCheck(deps.db)] },
  );
}

function addPatch(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    patchRoute,
    async (c) => {
      const own = c.var.key.subAccountId;
      const webhook = await find(deps, c.req.valid('param').wid, own);
      const { rotate_secret: rotate, ...change } = c.req.valid('json');
      const replaced = rotate === true ? replaceSecret(deps.secretBox, webhook, deps.clock.now()) : undefined;
      await audited(c, deps, async (tx, note) => {
        await updateWebhook(tx, webhook.id, { ...change, secretSealed: replaced?.sealed });
        for (const [action, isDone] of doneBy(webhook, change, rotate === true))
          if (isDone)
            await note({ action, subject: webhook.id, details: { url: change.url ?? webhook.url } });
      });
      const after = shown(await find(deps, webhook.id, own));
      return c.json(replaced === undefined ? after : { ...after, secret: replaced.secret }, 200);
    },
    [],
    { fieldChecks: [urlCheck(deps)] },
  );
}

/** What a change comes to, in the words of the audit log. */
function doneBy(
  { enabled }: WebhookRow,
  change: { url?: string | undefined; types?: string[] | undefined; enabled?: boolean | undefined },
  rotated: boolean,
): [`webhook.${string}`, boolean][] {
  return [
    ['webhook.changed', change.url !== undefined || change.types !== undefined],
    ['webhook.paused', change.enabled === false && enabled],
    ['webhook.resumed', change.enabled === true && !enabled],
    ['webhook.secret_replaced', rotated],
  ];
}

function addDeliveries(api: Api, deps: ApiDeps): void {
  addRoute(api, deliveriesRoute, async (c) => {
    const webhook = await find(deps, c.req.valid('param').wid, c.var.key.subAccountId);
    const { cursor, limit, state = null } = c.req.valid('query');
    const found = await listDeliveries(
      deps.db,
      { webhookId: webhook.id, state },
      { from: positionOf(cursor), way: 'older', limit: limit + 1 },
    );
    return c.json(
      pageOf(found, limit, (delivery) => [delivery.seq], shownDelivery),
      200,
    );
  });
  addRoute(api, retryRoute, async (c) => {
    const { wid, did } = c.req.valid('param');
    const webhook = await find(deps, wid, c.var.key.subAccountId);
    const delivery = await retryDelivery(deps.db, { webhookId: webhook.id, id: did });
    if (delivery === undefined) throw notFound('delivery');
    return c.json(shownDelivery(delivery), 200);
  });
}

async function find(deps: ApiDeps, id: string, subAccountId: string | null) {
  const webhook = await findWebhook(deps.db, id, subAccountId);
  if (webhook === undefined) throw notFound('webhook');
  return webhook;
}

function urlCheck(deps: ApiDeps): FieldCheck {
  return fieldCheck('url', urlField, (url) => {
    try {
      deps.netGuard.assertUrl(url);
      return null;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const remedy =
        error.code === 'private_address'
          ? ' Whoever runs this gateway can allow it by TWOWAY_ALLOW_PRIVATE.'
          : '';
      return { code: error.code, detail: `${error.message}.${remedy}` };
    }
  });
}

/** The number in a cursor of deliveries. One that this list did not make is the start. */
function positionOf(cursor: readonly string[] | null): string | null {
  const [position = ''] = cursor ?? [];
  return /^\d{1,18}$/.test(position) ? position : null;
}

const typeField = z.enum(eventTypes);
const urlField = plainText(2048).describe(
  'Where events are posted: https, or http. A host in a private network must be allowed by the setting ' +
    'TWOWAY_ALLOW_PRIVATE; where a name leads is checked at every connection.',
);
const typesField = z.array(typeField).max(eventTypes.length).describe('The types wanted; empty: all.');

const postSchema = z
  .strictObject({
    url: urlField,
    types: typesField.default([]),
    sub_account_id: crmId
      .nullable()
      .optional()
      .describe('The only sub-account that it hears of; null: all of them. Left out: what the key sees.'),
  })
  .meta({ id: 'WebhookPost', description: 'A webhook to be made.' });

const patchSchema = z
  .strictObject({
    url: urlField.optional(),
    types: typesField.optional(),
    enabled: z
      .boolean()
      .optional()
      .describe(
        'False: nothing is delivered, and what happens meanwhile is not queued (it is in the log of events).',
      ),
    rotate_secret: z
      .boolean()
      .optional()
      .describe('True: makes a new secret and shows it. Requests are signed with both for a day.'),
  })
  .meta({ id: 'WebhookPatch', description: 'What is to be changed.' });

const webhookFields = {
  id: z.string().describe('`whk_…`'),
  sub_account_id: z.string().nullable().describe('The only sub-account that it hears of; null: all of them.'),
  url: z.string().describe('Where events are posted.'),
  types: z.array(typeField).describe('The types wanted; empty: all.'),
  enabled: z.boolean().describe('False when it was switched off, or the endpoint answered 410.'),
  failures: z.int().describe('How often the endpoint failed in a row; 0: it works.'),
  paused_until: timeField.nullable().describe('The endpoint failed, and is left alone until then.'),
  pending: z.int().describe('Deliveries that are still to be made, counted up to 10,000.'),
  parked: z
    .int()
    .describe(
      'Deliveries that were given up after days, and wait for a retry by hand, counted up to 10,000.',
    ),
  created_at: timeField.describe('When it was made.'),
};

const webhookSchema = z
  .strictObject(webhookFields)
  .meta({ id: 'Webhook', description: 'Where events go, and how it does.' });

const secretField = z
  .string()
  .describe('The secret (`whsec_…`) with which the signatures are checked, shown this once.');

const madeSchema = z
  .strictObject({ ...webhookFields, secret: secretField })
  .meta({ id: 'WebhookMade', description: 'A webhook that was made just now.' });

const patchedSchema = z.strictObject({ ...webhookFields, secret: secretField.optional() }).meta({
  id: 'WebhookPatched',
  description: 'A webhook after a change, with its new secret where it has one.',
});

const stateField = z.enum(['pending', 'delivered', 'parked']);

const deliverySchema = z
  .strictObject({
    id: z.string().describe('`dlv_…`'),
    event_id: z.string().describe('The event, also in the header `webhook-id` of each try.'),
    event_type: typeField.describe('Its type.'),
    state: stateField.describe(
      '`pending`: to be made, or made again. `delivered`: answered with 2xx. `parked`: given up after days.',
    ),
    attempts: z.int().describe('Tries so far; they start again from 0 with a retry of a finished one.'),
    last_status: z.int().nullable().describe('HTTP status of the last answer; null when there was none.'),
    last_error: z.string().nullable().describe('What was wrong at the last try.'),
    next_attempt_at: timeField
      .nullable()
      .describe(
        'When it is tried next; null unless pending, and while one before it in its conversation is pending.',
      ),
    delivered_at: timeField.nullable().describe('When it was answered with 2xx.'),
    created_at: timeField.describe('When the event was published.'),
  })
  .meta({ id: 'Delivery', description: 'One event on its way to one webhook.' });

const probeSchema = z
  .strictObject({
    delivered: z.boolean().describe('The endpoint answered with 2xx.'),
    status: z.int().nullable().describe('HTTP status of the answer; null when there was none.'),
    error: z.string().nullable().describe('What was wrong.'),
    took_ms: z.int().describe('How long it took.'),
  })
  .meta({ id: 'WebhookProbe', description: 'What the endpoint made of a test event.' });

const tags = ['Webhooks'];
const webhookParam = z.object({ wid: gatewayId.describe('The webhook, `whk_…`.') });

const postRoute = defineRoute({
  method: 'post',
  path: '/v1/webhooks',
  tags,
  summary: 'Make a webhook',
  description:
    'Events are posted as JSON, signed by the Standard Webhooks specification, in order within each conversation, at ' +
    'least once (a repeat has the same `webhook-id`), and tried again for days unless the answer is 2xx. Redirects ' +
    'are not followed; 410 switches the webhook off.',
  request: { body: jsonBody(postSchema) },
  responses: { 201: jsonResponse(madeSchema, 'The webhook, with its secret.') },
});

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/webhooks',
  tags,
  summary: 'List webhooks',
  request: { query: pageQuery },
  responses: { 200: jsonResponse(pageSchema(webhookSchema, 'WebhookPage'), 'Webhooks, oldest first.') },
});

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/webhooks/{wid}',
  tags,
  summary: 'Show a webhook',
  request: { params: webhookParam },
  responses: { 200: jsonResponse(webhookSchema, 'The webhook.') },
});

const patchRoute = defineRoute({
  method: 'patch',
  path: '/v1/webhooks/{wid}',
  tags,
  summary: 'Change a webhook',
  description: 'What is left out stays as it is. What was queued already goes to the new URL.',
  request: { params: webhookParam, body: jsonBody(patchSchema) },
  responses: { 200: jsonResponse(patchedSchema, 'The webhook after the change.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/webhooks/{wid}',
  tags,
  summary: 'Delete a webhook',
  request: { params: webhookParam },
  responses: { 204: { description: 'It is gone, with its deliveries.' } },
});

const testRoute = defineRoute({
  method: 'post',
  path: '/v1/webhooks/{wid}/test',
  tags,
  summary: 'Send a test event',
  description: 'Posts one event of type `webhook.test` and answers with what came back. It is in no log.',
  request: { params: webhookParam },
  responses: { 200: jsonResponse(probeSchema, 'What came back.') },
});

const deliveriesRoute = defineRoute({
  method: 'get',
  path: '/v1/webhooks/{wid}/deliveries',
  tags,
  summary: 'List the deliveries of a webhook',
  request: {
    params: webhookParam,
    query: pageQuery.extend({ state: stateField.optional().describe('Only those in this state.') }),
  },
  responses: { 200: jsonResponse(pageSchema(deliverySchema, 'DeliveryPage'), 'Deliveries, newest first.') },
});

const retryRoute = defineRoute({
  method: 'post',
  path: '/v1/webhooks/{wid}/deliveries/{did}/retry',
  tags,
  summary: 'Deliver again',
  description:
    'A parked or delivered one is put behind what its conversation has waiting; a pending one that was put off is ' +
    'tried at once.',
  request: { params: webhookParam.extend({ did: gatewayId.describe('The delivery, `dlv_…`.') }) },
  responses: { 200: jsonResponse(deliverySchema, 'The delivery.') },
});

function shown(row: WebhookRow): z.output<typeof webhookSchema> {
  return {
    id: row.id,
    sub_account_id: row.subAccountId,
    url: row.url,
    types: row.types as z.output<typeof typeField>[],
    enabled: row.enabled,
    failures: row.failures,
    paused_until: row.pausedUntil?.toISOString() ?? null,
    pending: row.pending,
    parked: row.parked,
    created_at: row.createdAt.toISOString(),
  };
}

function shownDelivery(row: DeliveryRow): z.output<typeof deliverySchema> {
  return {
    id: row.id,
    event_id: row.eventId,
    event_type: row.type as z.output<typeof typeField>,
    state: row.state,
    attempts: row.attempts,
    last_status: row.lastStatus,
    last_error: row.lastError,
    next_attempt_at: row.nextAttemptAt?.toISOString() ?? null,
    delivered_at: row.deliveredAt?.toISOString() ?? null,
    created_at: row.createdAt.toISOString(),
  };
}
