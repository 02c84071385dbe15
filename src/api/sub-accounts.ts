import { z } from 'zod';
import { Failure } from '../lib/failure.ts';
import type { SecretBox } from '../lib/secret-box.ts';
import {
  deleteSubAccount,
  eraseContent,
  findSubAccount,
  providerPasswordContext,
  putSubAccount,
  settingsSchema,
} from '../store/sub-accounts.ts';
import type { SubAccount } from '../store/sub-accounts.ts';
import { ApiError, invalidField, notFound } from './errors.ts';
import type { ProblemCode } from './errors.ts';
import { addressField, plainText, subAccountParam, timeField } from './fields.ts';
import { addRoute, defineRoute, fieldCheck, jsonBody, jsonResponse } from './route.ts';
import type { Api, ApiDeps, FieldCheck } from './route.ts';

/** `/v1/sub-accounts/{sid}`: the tenants of the CRM. */
export function addSubAccounts(api: Api, deps: ApiDeps): void {
  addRoute(
    api,
    putRoute,
    async (c) => {
      const { sid } = c.req.valid('param');
      const { name, settings, provider } = c.req.valid('json');
      const before = await findSubAccount(deps.db, sid);
      const sealed = provider && sealedPassword(deps.secretBox, sid, provider, before);
      if (provider !== null && !isProven(provider, sealed, before))
        await proveProvider(deps, sid, provider, sealed);
      const { subAccount, created } = await putSubAccount(deps.db, {
        id: sid,
        name,
        settings,
        provider: provider && withoutPassword(provider),
        providerPasswordSealed: sealed,
      });
      // What was held for it goes on.
      if (provider !== null) deps.wakeSender();
      return c.json(shown(subAccount), created ? 201 : 200);
    },
    relayProblems,
    { fieldChecks: [passwordCheck(deps)] },
  );
  addRoute(api, getRoute, async (c) => {
    const found = await findSubAccount(deps.db, c.req.valid('param').sid);
    if (found === undefined) throw notFound('sub-account');
    return c.json(shown(found), 200);
  });
  addRoute(
    api,
    deleteRoute,
    async (c) => {
      const { sid } = c.req.valid('param');
      if (c.var.key.subAccountId !== null) {
        throw new ApiError('sub_account_key', 'Only a key for all sub-accounts erases one.');
      }
      if ((await findSubAccount(deps.db, sid)) === undefined) throw notFound('sub-account');
      await deps.disconnect({ subAccountId: sid });
      await eraseContent(deps.db, sid);
      if (!(await deps.disconnectBefore({ subAccountId: sid }, (tx) => deleteSubAccount(tx, sid))))
        throw notFound('sub-account');
      deps.wakeHousekeeping();
      return c.body(null, 204);
    },
    ['sub_account_key'],
  );
}

const security = z
  .enum(['tls', 'starttls', 'none'])
  .describe('`tls` from the first byte, `starttls` required before the login, or `none`.');

const providerFields = {
  kind: z.literal('smtp').describe('The only kind so far.'),
  host: z
    .string()
    .regex(/^(?=.{1,253}$)[A-Za-z0-9:](?:[A-Za-z0-9.:-]*[A-Za-z0-9:])?$/, {
      message: 'This is no host name.',
    })
    .describe('Name or address of the SMTP server.'),
  port: z.int().min(1).max(65_535).describe('Port of the SMTP server.'),
  security,
  username: plainText(320).nullable().default(null).describe('Login; null for a server that wants none.'),
  from: addressField.describe('Sender of bulk and workflow mail that names none.'),
};

const settingsField = z.strictObject(settingsSchema.shape);

const providerField = z
  .strictObject({
    ...providerFields,
    password: plainText(1000)
      .optional()
      .describe(
        'Never returned. Left out, the stored one stays, as long as host, port and username are the same.',
      ),
  })
  .nullable();

const putSchema = z
  .strictObject({
    name: plainText(500).default('').describe('For people.'),
    settings: settingsField.prefault({}).describe('Settings that are left out have their defaults.'),
    provider: providerField.default(null).describe("The sub-account's own way to send; null for none."),
  })
  .meta({ id: 'SubAccountPut', description: 'A sub-account, as it shall be.' });

const subAccountSchema = z
  .strictObject({
    id: z.string().describe("The CRM's id."),
    name: z.string().describe('For people.'),
    settings: settingsField.describe('All settings in force, with those that were left to their defaults.'),
    provider: z
      .strictObject({
        ...providerFields,
        username: z.string().nullable().describe('Login; null: none.'),
        has_password: z.boolean().describe('Whether a password is stored.'),
      })
      .nullable()
      .describe("The sub-account's own way to send; null for none."),
    created_at: timeField.describe('When it was made here.'),
    updated_at: timeField.describe('When anything above last changed.'),
  })
  .meta({ id: 'SubAccount', description: 'One tenant of the CRM.' });

const tags = ['Sub-accounts'];
const path = '/v1/sub-accounts/{sid}';

const putRoute = defineRoute({
  method: 'put',
  path,
  tags,
  summary: 'Create or replace a sub-account',
  description:
    'A key of one sub-account can change that one and make no other. A new provider, or another login there, is proven ' +
    'before the answer: the gateway connects and logs in, and sends nothing.',
  request: { params: subAccountParam, body: jsonBody(putSchema) },
  responses: {
    200: jsonResponse(subAccountSchema, 'It was there, and is now as given.'),
    201: jsonResponse(subAccountSchema, 'It was made.'),
  },
});

const getRoute = defineRoute({
  method: 'get',
  path,
  tags,
  summary: 'Show a sub-account',
  request: { params: subAccountParam },
  responses: { 200: jsonResponse(subAccountSchema, 'The sub-account.') },
});

const deleteRoute = defineRoute({
  method: 'delete',
  path,
  tags,
  summary: 'Erase a sub-account',
  description:
    'Ends its connections and erases everything in it: contacts, conversations, messages, keys, events. ' +
    'Needs a key for all sub-accounts.',
  request: { params: subAccountParam },
  responses: { 204: { description: 'It is gone.' } },
});

type ProviderPut = NonNullable<z.output<typeof putSchema>['provider']>;

function withoutPassword({
  kind,
  host,
  port,
  security,
  username,
  from,
}: ProviderPut): SubAccount['provider'] {
  return { kind, host, port, security, username, from };
}

/**
 * The sealed password to store. A stored one is kept only for the same login at the same server:
 * else a writer could have it sent to a server of their own.
 */
function sealedPassword(
  box: SecretBox,
  subAccountId: string,
  provider: ProviderPut,
  before: SubAccount | undefined,
): string | null {
  const context = providerPasswordContext(subAccountId);
  const stored = before?.providerPasswordSealed ?? null;
  if (provider.password === undefined) {
    if (provider.username === null) return null;
    // The stored one may have been replaced since the check.
    if (stored === null || !isSameLogin(provider, before)) {
      throw invalidField({ in: 'body', ...missingPassword });
    }
    return stored;
  }
  // The same password is not sealed anew, so that a repeated call changes nothing.
  if (stored !== null && box.open(stored, context) === provider.password) return stored;
  return box.seal(provider.password, context);
}

function isSameLogin({ host, port, username }: ProviderPut, before: SubAccount | undefined): boolean {
  const old = before?.provider;
  return old?.host === host && old.port === port && old.username === username;
}

/** It was proven when it was put, with this server and this login. */
function isProven(provider: ProviderPut, sealed: string | null, before: SubAccount | undefined): boolean {
  return (
    isSameLogin(provider, before) &&
    before?.provider?.security === provider.security &&
    before.providerPasswordSealed === sealed
  );
}

/** A provider that takes no mail is found out now, by whoever puts it, and not by a campaign. */
async function proveProvider(
  deps: ApiDeps,
  subAccountId: string,
  { host, port, security, username }: ProviderPut,
  sealed: string | null,
): Promise<void> {
  const password = sealed === null ? '' : deps.secretBox.open(sealed, providerPasswordContext(subAccountId));
  const login = username === null ? null : { user: username, password };
  try {
    await deps.proveRelay({ server: { host, port, security }, login });
  } catch (error) {
    const code = error instanceof Failure ? relayProblemOf(error.code) : undefined;
    if (code === undefined) throw error;
    throw new ApiError(code, details[code]);
  }
}

const details = {
  smtp_unreachable: 'The SMTP server of `provider` gave no usable answer. Nothing was stored.',
  smtp_login_refused:
    'The SMTP server of `provider` refused the user name or the password. Nothing was stored.',
  tls_untrusted: 'The certificate of the SMTP server of `provider` is not trusted. Nothing was stored.',
  tls_failed:
    'The SMTP server of `provider` does not speak that kind of encryption at that port. Nothing was stored.',
  private_address: 'The host of `provider` is in a private network that is not allowed, or is no host.',
} as const satisfies Partial<Record<ProblemCode, string>>;

type RelayProblem = keyof typeof details;

const relayProblems = Object.keys(details) as RelayProblem[];

function relayProblemOf(code: string): RelayProblem | undefined {
  if (code === 'invalid_host') return 'private_address';
  if (code === 'unknown_host') return 'smtp_unreachable';
  return relayProblems.find((known) => known === code);
}

const missingPassword = {
  path: 'provider.password',
  code: 'required',
  detail: 'A new login needs its password.',
};

function passwordCheck(deps: ApiDeps): FieldCheck {
  return fieldCheck('provider', providerField, async (provider, c) => {
    if (provider === null || provider.username === null || provider.password !== undefined) return null;
    const before = await findSubAccount(deps.db, c.req.param('sid') ?? '');
    const isKept = before?.providerPasswordSealed != null && isSameLogin(provider, before);
    return isKept ? null : missingPassword;
  });
}

function shown(subAccount: SubAccount): z.output<typeof subAccountSchema> {
  const { id, name, settings, provider, providerPasswordSealed } = subAccount;
  return {
    id,
    name,
    settings,
    provider: provider && { ...provider, has_password: providerPasswordSealed !== null },
    created_at: subAccount.createdAt,
    updated_at: subAccount.updatedAt,
  };
}
