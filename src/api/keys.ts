import { z } from 'zod';
import { listKeys, makeKey, revokeKey } from '../store/keys.ts';
import type { KeyRow } from '../store/keys.ts';
import { audited } from './audited.ts';
import { subAccountCheck } from './auth.ts';
import { ApiError, notFound } from './errors.ts';
import { crmId, gatewayId, plainText, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** `/v1/keys`: who may call this API (W3). */
export function addKeys(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    postRoute,
    async (c) => {
      const { sub_account_id: subAccountId, scope, label } = c.req.valid('json');
      const own = c.var.key.subAccountId;
      if (own !== null && subAccountId === null) {
        throw new ApiError('sub_account_key', 'A key of one sub-account makes keys for that one.');
      }
      const { key, row } = await audited(c, deps, async (tx, note) => {
        const made = await makeKey(tx, { subAccountId, scope, label });
        await note({ action: 'key.made', subject: made.row.id, details: detailsOf(made.row) });
        return made;
      });
      return c.json({ ...shown(row), key }, 201);
    },
    ['sub_account_key'],
    { fieldChecks: [subAccountCheck(deps.db)] },
  );
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit } = c.req.valid('query');
    const { subAccountId } = c.var.key;
    const found = await listKeys(deps.db, { subAccountId, after: cursor?.[0] ?? '', limit: limit + 1 });
    return c.json(
      pageOf(found, limit, (key) => [key.id], shown),
      200,
    );
  });
  addRoute(api, deleteRoute, async (c) => {
    const revoked = await audited(c, deps, async (tx, note) => {
      const key = await revokeKey(tx, c.req.valid('param').kid, c.var.key.subAccountId);
      if (key !== null) await note({ action: 'key.revoked', subject: key.id, details: detailsOf(key) });
      return key;
    });
    if (revoked === null) throw notFound('key');
    return c.body(null, 204);
  });
}

const scopeField = z.enum(['read', 'write']).describe('`read`: GET alone. `write`: everything.');

const postSchema = z
  .strictObject({
    sub_account_id: crmId.nullable().describe('The only sub-account that it sees; null: all of them.'),
    scope: scopeField,
    label: plainText(200).default('').describe('For people: what it is for.'),
  })
  .meta({ id: 'KeyPost', description: 'A key to be made.' });

const keyFields = {
  id: z.string().describe('The id (`key_…`), which opens nothing.'),
  sub_account_id: z.string().nullable().describe('The only sub-account that it sees; null: all of them.'),
  scope: scopeField,
  label: z.string().describe('For people: what it is for.'),
  created_at: timeField.describe('When it was made.'),
};

const keySchema = z
  .strictObject(keyFields)
  .meta({ id: 'Key', description: 'A key in force; the key itself is stored nowhere.' });

const madeSchema = z
  .strictObject({ ...keyFields, key: z.string().describe('The key itself, shown this once.') })
  .meta({ id: 'KeyMade', description: 'A key that was made just now.' });

const tags = ['Keys'];

const postRoute = defineRoute({
  method: 'post',
  path: '/v1/keys',
  tags,
  summary: 'Make a key',
  description: 'A key of one sub-account makes, lists and revokes the keys of that one.',
  request: { body: jsonBody(postSchema) },
  responses: { 201: jsonResponse(madeSchema, 'The key, shown this once.') },
});

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/keys',
  tags,
  summary: 'List the keys in force',
  request: { query: pageQuery },
  responses: { 200: jsonResponse(pageSchema(keySchema, 'KeyPage'), 'Keys, oldest first.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path: '/v1/keys/{kid}',
  tags,
  summary: 'Revoke a key',
  request: { params: z.object({ kid: gatewayId.describe('The id of the key.') }) },
  responses: { 204: { description: 'It opens nothing from now on.' } },
});

function detailsOf({ label, scope, subAccountId }: KeyRow) {
  return { label, scope, sub_account_id: subAccountId };
}

function shown(row: KeyRow): z.output<typeof keySchema> {
  const { id, subAccountId, scope, label, createdAt } = row;
  return { id, sub_account_id: subAccountId, scope, label, created_at: createdAt };
}
