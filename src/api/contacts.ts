import { z } from 'zod';
import { hashOfAddress } from '../filing/hashes.ts';
import { deleteContact, findContact, listContacts, putContacts } from '../store/contacts.ts';
import type { Contact } from '../store/contacts.ts';
import { inTransaction } from '../store/database.ts';
import { countEarlierMail } from '../store/decisions.ts';
import { findOfContact } from '../store/erasable.ts';
import { findMember } from '../store/users.ts';
import { eraseAll } from './erasing.ts';
import { invalidField, notFound } from './errors.ts';
import { addressField, crmId, plainText, subAccountParam, timeField } from './fields.ts';
import { pageOf, pageQuery, pageSchema } from './paging.ts';
import { addRoute, defineRoute, fieldCheck, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps, FieldCheck } from './route.ts';

/** `/v1/sub-accounts/{sid}/contacts`: one contact at a time, and the list. */
export function addContacts(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    putRoute,
    async (c) => {
      const { sid, cid } = c.req.valid('param');
      const { name, emails, assigned_user_id: assignedUserId } = c.req.valid('json');
      const { outcome, contact } = await inTransaction(deps.db, async (tx) => {
        const outcomes = await putContacts(tx, sid, [{ id: cid, name, emails, assignedUserId }]);
        return { outcome: outcomes?.[0], contact: await findContact(tx, sid, cid) };
      });
      // They may have left since the check.
      if (outcome === 'unknown_user')
        throw invalidField({ in: 'body', path: 'assigned_user_id', ...unknownUser });
      if (contact === undefined) throw notFound('sub-account');
      return c.json(await shownAlone(deps, sid, contact), outcome === 'created' ? 201 : 200);
    },
    [],
    { fieldChecks: [assignedUserCheck(deps)] },
  );
  addRoute(api, getRoute, async (c) => {
    const { sid, cid } = c.req.valid('param');
    const contact = await findContact(deps.db, sid, cid);
    if (contact === undefined) throw notFound('contact');
    return c.json(await shownAlone(deps, sid, contact), 200);
  });
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const { sid, cid } = c.req.valid('param');
      if ((await findContact(deps.db, sid, cid)) === undefined) throw notFound('contact');
      await eraseAll(deps, sid, () => findOfContact(deps.db, sid, cid));
      const deleted = await inTransaction(deps.db, (tx) => deleteContact(tx, sid, cid));
      if (!deleted) throw notFound('contact');
      deps.wakeHousekeeping();
      return c.body(null, 204);
    },
    ['being_sent'],
  );
  addRoute(api, listRoute, async (c) => {
    const { cursor, limit, email } = c.req.valid('query');
    const { sid } = c.req.valid('param');
    const found = await listContacts(deps.db, {
      subAccountId: sid,
      email,
      after: cursor?.[0] ?? '',
      limit: limit + 1,
    });
    return c.json(
      pageOf(found, limit, (contact) => [contact.id], shown),
      200,
    );
  });
}

/** With the offer of its earlier mail (S16). */
async function shownAlone(deps: ApiDeps, subAccountId: string, contact: Contact) {
  const addressHashes = contact.emails.map((address) => hashOfAddress(deps.secretBox, address));
  return {
    ...shown(contact),
    earlier_mail: await countEarlierMail(deps.db, { subAccountId, addressHashes }),
  };
}

/** What the CRM says of a contact, beside its id. */
export const contactInputFields = {
  name: plainText(500).default('').describe('For people.'),
  emails: z
    .array(addressField)
    .max(50)
    .default([])
    .describe('Addresses, the main one first; of two that are the same one is kept. Contacts may share one.'),
  assigned_user_id: crmId
    .nullable()
    .default(null)
    .describe('The user whose customer it is, a member of the sub-account; null: nobody.'),
};

const putSchema = z
  .strictObject(contactInputFields)
  .meta({ id: 'ContactPut', description: 'A contact, as it shall be.' });

const contactSchema = z
  .strictObject({
    id: z.string().describe("The CRM's id, or the gateway's (`cct_…`) until the CRM gives one."),
    name: z.string().describe('For people.'),
    emails: z.array(z.string()).describe('Addresses as written, the main one first.'),
    assigned_user_id: z.string().nullable().describe('The user whose customer it is; null: nobody.'),
    created_by: z
      .enum(['crm', 'logging_address'])
      .describe('Who made it: the CRM by this API, or the gateway from mail to a logging address (B2).'),
    created_at: timeField.describe('When it was made here.'),
    updated_at: timeField.describe('When anything above last changed.'),
  })
  .meta({ id: 'Contact', description: 'A customer, in one sub-account.' });

const contactAloneSchema = contactSchema
  .extend({
    earlier_mail: z
      .array(
        z.strictObject({
          connection_id: z.string().describe('A connection that is not ended, `con_…`.'),
          messages: z.int().describe('How many; counting ends at 1,000.'),
        }),
      )
      .describe(
        'S16: mail with these addresses that was judged before they were known, and left out. A backfill of the ' +
          'connection with this `contact_id` brings it in, and what came before the connection began; its dry run says how much.',
      ),
  })
  .meta({ id: 'ContactWithOffer', description: 'A customer, with the offer of earlier mail.' });

const contactParam = subAccountParam.extend({ cid: crmId.describe("The contact, by the CRM's id.") });

const tags = ['Contacts'];
const path = '/v1/sub-accounts/{sid}/contacts/{cid}';

const putRoute = defineRoute({
  method: 'put',
  path,
  tags,
  summary: 'Create or replace a contact',
  description:
    'A contact that the gateway made from mail to a logging address gets this id, and keeps its conversation, ' +
    'when it has one of these addresses (that answers 200).',
  request: { params: contactParam, body: jsonBody(putSchema) },
  responses: {
    200: jsonResponse(contactAloneSchema, 'It was there, and is now as given.'),
    201: jsonResponse(contactAloneSchema, 'It was made.'),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'Show a contact',
  request: { params: contactParam },
  responses: { 200: jsonResponse(contactAloneSchema, 'The contact.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'Delete a contact',
  description:
    "With its conversation, whose messages are erased as by `DELETE …/messages/{id}`, but for those that another contact's " +
    'conversation shows, too. Later mail from these addresses is that of a stranger.',
  request: { params: contactParam },
  responses: { 204: { description: 'It is gone.' } },
});

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/sub-accounts/{sid}/contacts',
  tags,
  summary: 'List contacts',
  request: {
    params: subAccountParam,
    query: pageQuery.extend({
      email: plainText(320)
        .optional()
        .describe('Only those that have this address, compared without case and as RULES.md says.'),
    }),
  },
  responses: { 200: jsonResponse(pageSchema(contactSchema, 'ContactPage'), 'Contacts, by id.') },
});

const unknownUser = { code: 'unknown_user', detail: 'No member of the sub-account has this id.' };

function assignedUserCheck(deps: ApiDeps): FieldCheck {
  return fieldCheck('assigned_user_id', crmId.nullable(), async (userId, c) => {
    const subAccountId = c.req.param('sid') ?? '';
    if (userId === null || (await findMember(deps.db, { subAccountId, userId })) !== undefined) return null;
    return unknownUser;
  });
}

function shown(contact: Contact): z.output<typeof contactSchema> {
  const { id, name, emails, assignedUserId, createdBy, createdAt, updatedAt } = contact;
  return {
    id,
    name,
    emails,
    assigned_user_id: assignedUserId,
    created_by: createdBy,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}
