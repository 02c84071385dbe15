import { z } from 'zod';
import { connectLinkLifeMs, insertConnectLink } from '../store/connect-links.ts';
import { newLinkToken } from '../store/link-token.ts';
import { notFound } from './errors.ts';
import { memberParam, plainText, timeField } from './fields.ts';
import { addRoute, defineRoute, fieldCheck, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps, FieldCheck } from './route.ts';

/** `/v1/sub-accounts/{sid}/users/{uid}/connection-links`: one-use links to the hosted connect page (C1). */
export function addConnectionLinks(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    postRoute,
    async (c) => {
      const { sid, uid } = c.req.valid('param');
      const { provider, return_url: returnUrl, replace } = c.req.valid('json');
      const { token, hash } = newLinkToken();
      const link = { subAccountId: sid, userId: uid, provider, returnUrl, replace };
      const expiresAt = await insertConnectLink(deps.db, {
        ...link,
        tokenHash: hash,
        lifeMs: connectLinkLifeMs,
      });
      if (expiresAt === null) throw notFound('user');
      return c.json({ url: `${deps.publicUrl()}/connect/${token}`, expires_at: expiresAt }, 201);
    },
    [],
    { fieldChecks: [providerCheck(deps)] },
  );
}

function providerCheck({ offered }: ApiDeps): FieldCheck {
  return fieldCheck('provider', providerField, (provider) => {
    if (provider === null || offered.has(provider)) return null;
    const detail = `This gateway is not set up for it. It offers: ${[...offered.keys()].join(', ')}.`;
    return { code: 'provider_not_configured', detail };
  });
}

/** An address of the CRM's own: the key's owner says it, and the page shows its host. */
export const returnUrlField = plainText(2048).refine(isReturnUrl, {
  params: { code: 'invalid_url' },
  message: 'An http or https URL without a user is needed.',
});

function isReturnUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null && ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === ''
  );
}

const providerField = z.enum(['gmail', 'outlook', 'imap', 'sandbox']).nullable();

const postSchema = z
  .strictObject({
    provider: providerField
      .default(null)
      .describe('Where the mailbox is; null or left out: the person chooses.'),
    return_url: returnUrlField
      .nullable()
      .default(null)
      .describe(
        'Where the browser goes afterwards, with `connection` (the id) and `state` (`connected`) added to the query, over any that it has. ' +
          'Any other end is shown by the page, which then offers the way back with another `state`.',
      ),
    replace: z
      .boolean()
      .default(false)
      .describe('True for *update e-mail* (C6): another mailbox takes the place of the connected one.'),
  })
  .meta({ id: 'ConnectionLinkPost', description: 'What the page is asked for.' });

const linkSchema = z
  .strictObject({
    url: z
      .string()
      .describe(
        'For that person alone: whoever opens it connects a mailbox in their name. Opening it uses nothing up.',
      ),
    expires_at: timeField.describe('Until then it can be opened, and until a mailbox was connected by it.'),
  })
  .meta({ id: 'ConnectionLink', description: 'A link to the hosted connect page.' });

const postRoute = defineRoute({
  method: 'post',
  path: '/v1/sub-accounts/{sid}/users/{uid}/connection-links',
  tags: ['Connections'],
  summary: 'Make a link to the connect page',
  description:
    'The page is the gateway’s own: the person consents at their provider, or gives a password for another mail host. ' +
    'A link leads to one connection.',
  request: { params: memberParam, body: { ...jsonBody(postSchema), required: false } },
  responses: { 201: jsonResponse(linkSchema, 'The link, shown this once.') },
});
