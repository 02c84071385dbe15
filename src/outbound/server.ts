import { Failure } from '../lib/failure.ts';
import { readPassword } from '../store/mailboxes.ts';
import type { SendingMailbox, SendingRelay, SendingWay } from '../store/sends.ts';
import { providerPasswordContext } from '../store/sub-accounts.ts';
import type { Traces } from '../store/tracing.ts';
import type { AttemptDeps } from './attempt.ts';
import type { SmtpLogin, SmtpServer } from './smtp.ts';

/** Sessions at once with a sub-account's own provider: what relays take from one customer as a matter of course. */
export const relaySessionsMax = 5;

type ServerDeps = Pick<AttemptDeps, 'db' | 'secretBox' | 'tokens' | 'provider' | 'resolveHost'> & {
  traces: Traces;
};

/**
 * The server that a way leads to, and the login there. Hosts that people named are looked up each time: a name that
 * was public when it was proven may lead elsewhere by now.
 *
 * @throws Failure: `operator` where none is configured, `denied` where there is no credential, what `resolveHost` says.
 */
export async function serverFor(
  deps: ServerDeps,
  subAccountId: string,
  way: SendingWay,
): Promise<SmtpServer> {
  if (way.through === 'provider') {
    const { address } = await deps.resolveHost(way.server.host);
    return { server: way.server, address, login: relayLogin(deps, subAccountId, way) };
  }
  const server = way.smtp ?? deps.provider(way.provider).smtp;
  if (server === null) throw new Failure('operator', 'no_smtp_server', `${way.provider} has no SMTP server`);
  const named = way.smtp === null ? {} : { address: (await deps.resolveHost(way.smtp.host)).address };
  const login = await mailboxLogin(deps, way);
  return { server, ...named, login, ...(way.isTraced ? { trace: deps.traces.begin(way.id, 'smtp') } : {}) };
}

function relayLogin({ secretBox }: ServerDeps, subAccountId: string, relay: SendingRelay): SmtpLogin | null {
  if (relay.username === null) return null;
  if (relay.passwordSealed === null)
    throw new Failure('denied', 'credential_missing', `the provider of ${subAccountId} has no password`);
  const password = secretBox.open(relay.passwordSealed, providerPasswordContext(subAccountId));
  return { user: relay.username, password };
}

async function mailboxLogin(deps: ServerDeps, mailbox: SendingMailbox): Promise<SmtpLogin> {
  const { id, login: user, credentialKind } = mailbox;
  if (credentialKind === 'password') {
    const password = await readPassword(deps.db, deps.secretBox, id);
    if (password === null) throw new Failure('denied', 'credential_missing', `${id} has no password`);
    return { user, password };
  }
  return {
    user,
    token: async (refused) => (await deps.tokens.accessToken(id, refused === null ? {} : { refused })).token,
  };
}
