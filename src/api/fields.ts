import { z } from 'zod';
import { validAddress } from '../message/addresses.ts';

/** One of the CRM's own ids (sub-accounts, users, contacts). */
export const crmId = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/, {
  message: 'An id has 1 to 128 characters of A-Z a-z 0-9 . _ : -',
});

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

/** A time as the API shows it. */
export const timeField = z.iso.datetime();

/** Path parameter of everything inside a sub-account. */
export const subAccountParam = z.object({ sid: crmId.describe("The sub-account, by the CRM's id.") });

/** An e-mail address, without a display name; kept as written. */
export const addressField = z.string().refine((text) => validAddress(text), {
  params: { code: 'invalid_address' },
  message: 'This is no e-mail address.',
});
