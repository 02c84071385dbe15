import { z } from 'zod';
import { publicHeld } from '../filing/because.ts';
import { discardMail, releaseMail } from '../intake/review.ts';
import type { Reviewed } from '../intake/review.ts';
import { listHeld } from '../store/held.ts';
import type { PublicHeld } from '../store/held.ts';
import { ApiError, notFound } from './errors.ts';
import { addressField, crmId, gatewayId, plainText, subAccountParam, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** Mail to logging addresses that waits for a person's review (B2, B4). */
export function addHeld(api: Api, deps: ApiDeps): void {
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit, user_id: userId = null } = c.req.valid('query');
    const found = await listHeld(
      deps.db,
      { subAccountId: c.req.valid('param').sid, userId },
      { from: cursor?.[0] ?? null, way: 'older', limit: limit + 1 },
    );
    return c.json(
      pageOf(found, limit, (held) => [held.id], publicHeld),
      200,
    );
  });
  addRoute(
    api,
    releaseRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const { from = null } = c.req.valid('json');
      const released = heldOf(await releaseMail(deps.db, { subAccountId: sid, id }, from));
      deps.wakeFiler();
      return c.json(released, 202);
    },
    ['already_decided', 'author_unknown', 'not_a_forward'],
  );
  addRoute(
    api,
    discardRoute,
    async (c) => {
      const { sid, id } = c.req.valid('param');
      const discarded = heldOf(await discardMail(deps.db, { subAccountId: sid, id }));
      deps.wakeHousekeeping();
      return c.json(discarded, 200);
    },
    ['already_decided'],
  );
}

function heldOf(reviewed: Reviewed): PublicHeld {
  if (!('refused' in reviewed)) return publicHeld(reviewed.held);
  switch (reviewed.refused) {
    case 'not_found':
      throw notFound('held mail');
    case 'not_a_forward':
      throw new ApiError('not_a_forward', 'The user wrote it; only of a forward is there an author to name.');
    case 'author_unknown':
      throw new ApiError('author_unknown', 'Name who wrote what was forwarded in `from`.');
    case 'already_decided': {
      const { state } = reviewed.held;
      throw new ApiError('already_decided', `It was ${state}.`, { members: { state } });
    }
  }
}

const personSchema = z.strictObject({
  name: z.string().describe('Display name; empty when there is none.'),
  address: z.string().describe('As written.'),
});

const heldSchema = z
  .strictObject({
    id: z.string().describe('`spl_…`'),
    sub_account_id: z.string().describe("The CRM's id."),
    user_id: z.string().describe('Whose logging address it came to.'),
    state: z
      .enum(['held', 'released', 'discarded'])
      .describe('`released`: a person said that it is to be logged; the decision tells what came of it.'),
    reason: z
      .string()
      .describe(
        'Why, as the decision says: `unproven`, `too_many_recipients`, `forward_unclear`, `attachment_too_large`.',
      ),
    because: z.string().describe('The same in words.'),
    received_at: timeField.describe('When it came.'),
    decision_id: z.string().describe('The decision that holds, `dec_…`.'),
    mail: z
      .strictObject({
        from: personSchema.nullable().describe('Who sent it; null where From is not one address.'),
        to: z.array(personSchema).describe('To, without logging addresses.'),
        cc: z.array(personSchema).describe('Cc, without logging addresses.'),
        subject: z.string().describe('Decoded.'),
        date: timeField.nullable().describe('Its own date; null where that is unreadable.'),
        text: z
          .string()
          .describe(
            'The first 2,000 characters of the text that would be logged: of a forward, of what was forwarded.',
          ),
        forwarded: z
          .strictObject({
            from: personSchema
              .nullable()
              .describe('Who wrote what was forwarded; null where that is not clear.'),
            to: z
              .array(personSchema)
              .describe('To whom, as far as an address was read; without logging addresses.'),
            cc: z.array(personSchema).describe('Who had a copy, likewise.'),
            subject: z.string().describe('Of what was forwarded.'),
            date: timeField.nullable().describe('Of what was forwarded; null where that is unreadable.'),
            doubts: z.array(z.string()).describe('What makes the reading doubtful, in words for machines.'),
            written: z
              .strictObject({
                from: z.string().describe('Who wrote it; perhaps a name alone.'),
                date: z.string().describe('When.'),
                subject: z.string().describe('Its subject.'),
              })
              .nullable()
              .describe(
                'The lines that stand above what was forwarded, as the mail program wrote them, each empty where it is ' +
                  'not there; null where there are none, or the mail is attached.',
              ),
          })
          .nullable()
          .describe('What was read of the mail that it forwards; null where it forwards none.'),
      })
      .nullable()
      .describe('What was read of it. Null in events, and once it was reviewed.'),
    proof: z
      .strictObject({
        verdict: z
          .enum(['proven', 'unproven', 'failed', 'pending'])
          .describe('What the domain of From proves; `failed`: its policy asks to refuse such mail.'),
        domain: z.string().describe('Domain of From.'),
        spf: z.string().nullable().describe('Result of SPF (RFC 8601 §2.7); null: not asked.'),
        dkim: z.string().nullable().describe('Result of DKIM, likewise.'),
        dmarc_policy: z
          .string()
          .nullable()
          .describe('What the domain wants done with mail that proves nothing.'),
        arc: z
          .string()
          .nullable()
          .describe('Result of a chain of those who passed it on (RFC 8617): a hint.'),
      })
      .describe('How far it is certain who sent it.'),
  })
  .meta({ id: 'Held', description: "A mail to a logging address that waits for a person's review." });

const releaseSchema = z
  .strictObject({
    from: z
      .strictObject({
        name: plainText(500).default('').describe('Display name.'),
        address: addressField.describe('E-mail address.'),
      })
      .optional()
      .describe('Who wrote what was forwarded; needed where that could not be read.'),
  })
  .meta({ id: 'Release', description: 'How a held mail is to be logged.' });

const tags = ['Logging address'];
const path = '/v1/sub-accounts/{sid}/held';
const params = subAccountParam.extend({ id: gatewayId.describe('The held mail, `spl_…`.') });

const listRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'Mail that waits for review',
  description:
    'What came to a logging address from its user, and cannot be logged before a person has looked: the sending domain ' +
    'proves nothing, it has too many recipients, or who wrote what was forwarded is not clear.',
  request: {
    params: subAccountParam,
    query: pageQuery.extend({
      user_id: crmId.optional().describe("Only those to one user's logging address."),
    }),
  },
  responses: { 200: jsonResponse(pageSchema(heldSchema, 'HeldPage'), 'Held mail, the newest first.') },
});

const releaseRoute = defineRoute({
  method: 'post',
  path: `${path}/{id}/release`,
  tags,
  summary: 'Log it',
  description: 'It is filed as if nothing had been doubtful. A repeat changes nothing.',
  request: { params, body: jsonBody(releaseSchema) },
  responses: { 202: jsonResponse(heldSchema, 'It will be logged.') },
});

const discardRoute = defineRoute({
  method: 'post',
  path: `${path}/{id}/discard`,
  tags,
  summary: 'Drop it',
  description: 'It is not logged, and nothing of its content is kept. A repeat changes nothing.',
  request: { params },
  responses: { 200: jsonResponse(heldSchema, 'It was dropped.') },
});
