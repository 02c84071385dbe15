import { Resolver } from 'node:dns';
import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { passwordFault } from './console/admin/password-rules.ts';
import type { PasswordFault } from './console/admin/password-rules.ts';
import { isHostOrNetwork, isNetwork } from './lib/networks.ts';
import { roleNames } from './lib/roles.ts';
import { validAddress } from './message/addresses.ts';
import { providerFigures } from './provider/figures.ts';
import type { ProviderFigures } from './provider/figures.ts';
import type { ProviderEndpoints } from './provider/providers.ts';

/* What may stand in the environment, as a person writes it: each kind of setting turns text into its value. */

/** One setting: what it is called in the environment (`TWOWAY_` before it), what it means, what it is by default. */
export type Setting<Schema extends z.ZodType> = {
  schema: Schema;
  /** As a person writes it; empty: none. */
  default: string;
  explain: string;
  /** Never printed, never in an example. */
  secret?: boolean;
};

export function setting<Schema extends z.ZodType>(of: Setting<Schema>): Setting<Schema> {
  return of;
}

export const port = z.coerce.number().int().min(0).max(65_535);
/** A time for which something is kept, in days. */
export const days = (least: number) => z.coerce.number().int().min(least).max(36_500);
export const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);
export const roles = list.transform((names, context) => {
  const known = roleNames.filter((name) => names.includes(name));
  const strange = names.filter((name) => !(roleNames as readonly string[]).includes(name));
  for (const name of strange)
    context.addIssue({ code: 'custom', message: `"${name}" is no role: there are ${roleNames.join(', ')}` });
  if (names.length === 0) context.addIssue({ code: 'custom', message: 'a node has at least one role' });
  return known;
});
export const optional = z.string().transform((text) => (text === '' ? null : text));
export const databaseUrl = optional.refine((url) => url === null || /^postgres(?:ql)?:\/\//.test(url), {
  message: 'must begin with postgres:// or postgresql://',
});
export const networks = list.superRefine((entries, context) => {
  for (const entry of entries.filter((each) => !isHostOrNetwork(each)))
    context.addIssue({ code: 'custom', message: `"${entry}" is no network, address or host name` });
});
export const peers = list.superRefine((entries, context) => {
  for (const entry of entries.filter((each) => !isNetwork(each)))
    context.addIssue({ code: 'custom', message: `"${entry}" is no address and no network` });
});
export const dnsServers = list.superRefine((entries, context) => {
  for (const entry of entries.filter((each) => !isDnsServer(each)))
    context.addIssue({ code: 'custom', message: `"${entry}" is no address of a DNS server` });
});
export const domain = optional.transform((name, context) => {
  if (name === null) return null;
  const ascii = domainToASCII(name);
  if (/^(?:[a-z0-9-]{1,63}\.)+[a-z0-9-]{1,63}$/.test(ascii)) return ascii;
  context.addIssue({ code: 'custom', message: `"${name}" is no domain` });
  return z.NEVER;
});
/** Stands in attributes of HTML as it is, so it has no sign that means something there. */
export const trackingUrl = z
  .string()
  .regex(/^(?:https?:\/\/[a-z0-9.:[\]-]+(?:\/[\w.~/-]*)?)?$/i, {
    error: 'must be an http or https address without a query',
  })
  .refine((url) => url === '' || URL.canParse(url), { error: 'must be an http or https address' })
  .transform((url) => (url === '' ? null : url.replace(/\/+$/, '')));
export const origins = list.superRefine((entries, context) => {
  for (const entry of entries.filter((each) => URL.parse(each)?.origin !== each))
    context.addIssue({ code: 'custom', message: `"${entry}" is no origin, as https://crm.example is one` });
});
/** Sign-ins go over TLS, but for a provider on this machine. */
export const issuer = optional.refine(
  (url) =>
    url === null || (/^https:\/\/|^http:\/\/(?:127\.0\.0\.1|localhost)[:/]/.test(url) && URL.canParse(url)),
  { error: 'must be an https address' },
);
export const onOff = z.enum(['on', 'off', '']);

const address = z.object({
  host: z.string(),
  port: z.number().int(),
  security: z.enum(['tls', 'starttls', 'none']),
});

export const figures = z.string().transform((text, context): ProviderFigures => {
  if (text === '') return {};
  const parsed = jsonOf(text);
  const { data, error } = providerFigures.safeParse(parsed);
  if (error === undefined) return data;
  const issues =
    parsed === undefined
      ? ['it is no JSON']
      : error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`);
  for (const message of issues) context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** JSON of `ProviderEndpoints` (src/provider/providers.ts). */
export const endpoints = z.string().transform((text, context): ProviderEndpoints => {
  if (text === '') return {};
  try {
    const parsed = z
      .strictObject({
        authoriseUrl: z.url(),
        tokenUrl: z.url(),
        revokeUrl: z.url(),
        certsUrl: z.url(),
        issuers: z.array(z.string()),
        cloud: z.enum(['global', 'us_gcc_high', 'us_dod', 'china']),
        authority: z.url(),
        tenant: z.string(),
        imap: address.partial(),
        smtp: address.partial(),
      })
      .partial()
      .parse(JSON.parse(text));
    return parsed as ProviderEndpoints;
  } catch (error) {
    const why =
      error instanceof z.ZodError ? z.prettifyError(error).replaceAll(/\s*\n\s*/g, ' ') : String(error);
    context.addIssue({ code: 'custom', message: `must be JSON of endpoints: ${why}` });
    return z.NEVER;
  }
});

function isDnsServer(entry: string): boolean {
  try {
    new Resolver().setServers([entry]);
    return true;
  } catch {
    return false;
  }
}

/** A key of the API that is handed out before there is a gateway; null: none. */
export const firstKey = z
  .string()
  .regex(
    /^(tw_[\w-]{43})?$/,
    'must be tw_ and 32 random bytes in base64url (make one: echo "tw_$(openssl rand -base64 32 | tr +/ -_ | tr -d =)")',
  )
  .transform((text) => (text === '' ? null : text));

/** What is wrong with the first administrator, by address and password; nothing where there is neither. */
export function firstAdministratorProblems(
  email: string | null | undefined,
  password: string | null | undefined,
): string[] {
  if (typeof email !== 'string' || typeof password !== 'string') {
    if (email === password) return [];
    return ['TWOWAY_FIRST_ADMINISTRATOR and TWOWAY_FIRST_PASSWORD: one is set and the other is not'];
  }
  if (!validAddress(email)) return [`TWOWAY_FIRST_ADMINISTRATOR: "${email}" is no e-mail address`];
  const fault = passwordFault(password, email);
  return fault === null ? [] : [`TWOWAY_FIRST_PASSWORD: ${passwordFaults[fault]}`];
}

const passwordFaults: Readonly<Record<PasswordFault, string>> = {
  'password.too_short': 'it has fewer than 12 characters',
  'password.too_long': 'it has more than 200 characters',
  'password.is_address': 'it is made of the address',
  'password.too_common': 'it is one of those that are tried first',
};
