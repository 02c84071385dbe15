import { z } from 'zod';
import { validAddress } from '../message/addresses.ts';

const crmIdPattern = /^[A-Za-z0-9._:-]{1,128}$/;

/** One of the CRM's own ids (sub-accounts, users, contacts). */
export const crmId = z
  .string()
  .refine((text) => crmIdPattern.test(text), {
    params: { code: 'invalid_id' },
    message: 'An id has 1 to 128 characters of A-Z a-z 0-9 . _ : -',
  })
  .meta({ pattern: crmIdPattern.source });

/** A text that PostgreSQL and JSON can hold: no U+0000, no half of a surrogate pair. */
export function plainText(lengthMax: number) {
  return z
    .string()
    .max(lengthMax)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), {
      params: { code: 'invalid_text' },
      message: 'The text holds U+0000 or half of a surrogate pair.',
    });
}

/** An e-mail address, without a display name; kept as written. */
export const addressField = z.string().refine((text) => validAddress(text), {
  params: { code: 'invalid_address' },
  message: 'This is no e-mail address.',
});

/** An id of the gateway's in a path. One of another form is as unknown as any other. */
export const gatewayId = plainText(128);

/** A time as the API shows it. ISO 8601 has a year 0, and PostgreSQL has none. */
export const timeField = z.iso.datetime().refine((text) => !text.startsWith('0000'), {
  params: { code: 'invalid_format' },
  message: 'There is no year 0.',
});

/** Path parameter of everything inside a sub-account. */
export const subAccountParam = z.object({ sid: crmId.describe("The sub-account, by the CRM's id.") });

/** Path parameter of a user. */
export const userParam = z.object({ uid: crmId.describe("The user, by the CRM's id.") });

/** Path parameters of a user in a sub-account. */
export const memberParam = subAccountParam.extend(userParam.shape);
