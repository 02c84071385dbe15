import { z } from 'zod';
import { loggingVcard } from '../intake/log-address.ts';
import {
  findLoggingAddresses,
  overlapDaysDefault,
  replaceLoggingAddress,
} from '../store/logging-addresses.ts';
import type { LoggingAddresses } from '../store/logging-addresses.ts';
import { findSubAccount } from '../store/sub-accounts.ts';
import { ApiError, notFound } from './errors.ts';
import { memberParam, timeField } from './fields.ts';
import { addRoute, defineRoute, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps } from './route.ts';

/** A user's logging address in a sub-account (B1). */
export function addLoggingAddresses(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    getRoute,
    async (c) => {
      const { sid, uid } = c.req.valid('param');
      const found = await findLoggingAddresses(deps.db, { subAccountId: sid, userId: uid });
      if (found === null) throw notFound('user');
      return c.json(shown(found, domainOf(deps)), 200);
    },
    ['logging_off'],
  );
  addRoute(
    api,
    replaceRoute,
    async (c) => {
      const { sid, uid } = c.req.valid('param');
      const { overlap_days: overlapDays } = c.req.valid('json');
      const domain = domainOf(deps);
      const member = { subAccountId: sid, userId: uid };
      const found = await deps.db.transaction(async (tx) => {
        const isReplaced = await replaceLoggingAddress(tx, member, overlapDays);
        return isReplaced ? findLoggingAddresses(tx, member) : null;
      });
      if (found === null) throw notFound('user');
      return c.json(shown(found, domain), 200);
    },
    ['logging_off'],
  );
  addRoute(
    api,
    vcardRoute,
    async (c) => {
      const { sid, uid } = c.req.valid('param');
      const found = await findLoggingAddresses(deps.db, { subAccountId: sid, userId: uid });
      const subAccount = await findSubAccount(deps.db, sid);
      if (found === null || subAccount === undefined) throw notFound('user');
      const { address } = shown(found, domainOf(deps));
      c.header('Content-Type', 'text/vcard; charset=utf-8');
      c.header('Content-Disposition', 'attachment; filename="crm-log.vcf"');
      c.header('Cache-Control', 'no-store');
      return c.body(loggingVcard({ address, subAccount: subAccount.name }), 200);
    },
    ['logging_off'],
  );
}

function domainOf({ loggingDomain }: ApiDeps): string {
  if (loggingDomain !== null) return loggingDomain;
  throw new ApiError('logging_off', 'An administrator names it by TWOWAY_LOGGING_DOMAIN.');
}

function shown({ localPart, createdAt, replaced }: LoggingAddresses, domain: string) {
  return {
    address: `${localPart}@${domain}`,
    created_at: createdAt,
    replaced: replaced.map(({ localPart: before, expiresAt }) => ({
      address: `${before}@${domain}`,
      expires_at: expiresAt,
    })),
  };
}

const overlapDaysMax = 365;

const loggingAddressSchema = z
  .strictObject({
    address: z
      .string()
      .describe('A mail with it in Cc or Bcc, or forwarded to it, is logged. A `+tag` before the @ is kept.'),
    created_at: timeField.describe('When it was made.'),
    replaced: z
      .array(
        z.strictObject({
          address: z.string().describe('One that it took the place of.'),
          expires_at: timeField.describe('Until when that one still counts.'),
        }),
      )
      .describe('Former ones that still count, the newest first.'),
  })
  .meta({ id: 'LoggingAddress', description: "A user's logging address in a sub-account (B1)." });

const replaceSchema = z
  .strictObject({
    overlap_days: z
      .int()
      .min(0)
      .max(overlapDaysMax)
      .default(overlapDaysDefault)
      .describe('How long the one before still counts; 0: no longer.'),
  })
  .meta({ id: 'LoggingAddressReplacement', description: 'How the one before ends.' });

const tags = ['Logging address'];
const path = '/v1/sub-accounts/{sid}/users/{uid}/logging-address';

const getRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: "A user's logging address",
  description:
    'Every member has one. Only mail that this user sent, and whose domain proves it, is logged (B4).',
  request: { params: memberParam },
  responses: { 200: jsonResponse(loggingAddressSchema, 'The address.') },
});

const replaceRoute = defineRoute({
  method: 'post',
  path: `${path}/replace`,
  tags,
  summary: 'Replace it',
  description: 'Makes a new one. Mail to the one before is taken for a while, and refused from then on.',
  request: { params: memberParam, body: jsonBody(replaceSchema) },
  responses: { 200: jsonResponse(loggingAddressSchema, 'The new address, with the former ones.') },
});

const vcardRoute = defineRoute({
  method: 'get',
  path: `${path}.vcf`,
  tags,
  summary: 'The logging address as a contact card',
  description: 'To be saved in an address book, where it is completed from the first letters.',
  request: { params: memberParam },
  responses: {
    200: {
      content: { 'text/vcard': { schema: z.string().describe('vCard 3.0 (RFC 2426).') } },
      description: 'The card.',
    },
  },
});
