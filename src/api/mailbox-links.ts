import { z } from 'zod';
import { insertMailboxLink } from '../store/mailbox-links.ts';
import { newLinkToken } from '../store/link-token.ts';
import { returnUrlField } from './connection-links.ts';
import { notFound } from './errors.ts';
import { memberParam, timeField } from './fields.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** How long a link can be opened, ms: the CRM makes it when the person presses its button. */
const lifeMs = 5 * 60_000;

/** `/v1/sub-accounts/{sid}/users/{uid}/mailbox-links`: one-use links to a person's own pages. */
export function addMailboxLinks(api: Api, deps: ApiDeps): void {
  addRoute(api, postRoute, async (c) => {
    const { sid, uid } = c.req.valid('param');
    const { return_url: returnUrl } = c.req.valid('json');
    const { token, hash } = newLinkToken();
    const link = { subAccountId: sid, userId: uid, returnUrl, tokenHash: hash, lifeMs };
    const expiresAt = await insertMailboxLink(deps.db, link);
    if (expiresAt === null) throw notFound('user');
    return c.json({ url: `${deps.publicUrl()}/mailbox/${token}`, expires_at: expiresAt }, 201);
  });
}

const postSchema = z
  .strictObject({
    return_url: returnUrlField
      .nullable()
      .default(null)
      .describe('Where the pages’ way back to the CRM leads; null or left out: there is none.'),
  })
  .meta({ id: 'MailboxLinkPost', description: 'What the pages are asked for.' });

const linkSchema = z
  .strictObject({
    url: z
      .string()
      .describe('For that person alone: whoever opens it first sees their mailbox, for two hours at most.'),
    expires_at: timeField.describe('Until then it can be opened, once.'),
  })
  .meta({ id: 'MailboxLink', description: 'A link to a person’s own pages.' });

const postRoute = defineRoute({
  method: 'post',
  path: '/v1/sub-accounts/{sid}/users/{uid}/mailbox-links',
  tags: ['Connections'],
  summary: 'Make a link to a person’s own pages',
  description:
    'State, limits, what was synced and what was left out and why, logging address, never-log list, backfill, disconnecting: all of one user in one sub-account.',
  request: { params: memberParam, body: { ...jsonBody(postSchema), required: false } },
  responses: { 201: jsonResponse(linkSchema, 'The link, shown this once.') },
});
