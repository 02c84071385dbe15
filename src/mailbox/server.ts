import { Failure } from '../lib/failure.ts';
import type { ServerAddress } from '../provider/providers.ts';
import type { Mailbox } from '../store/mailboxes.ts';
import type { ListenerDeps } from './listener.ts';
import type { SessionOptions } from './session.ts';

/** The IMAP server of a mailbox. Throws a Failure where none is configured. */
export function serverOf(deps: Pick<ListenerDeps, 'providerOf'>, mailbox: Mailbox): ServerAddress {
  const server = mailbox.servers?.imap ?? deps.providerOf(mailbox).imap;
  if (server === null) throw new Failure('operator', 'no_imap_server', 'no IMAP server is configured');
  return server;
}

/** Where to connect. The host that a person named is looked up each time: a name that was public then may lead elsewhere by now. */
export async function placeOf(
  deps: Pick<ListenerDeps, 'providerOf' | 'resolveHost' | 'tls'>,
  mailbox: Mailbox,
): Promise<Pick<SessionOptions, 'server' | 'address' | 'tls'>> {
  const named = mailbox.servers?.imap;
  const { tls } = deps;
  return {
    server: serverOf(deps, mailbox),
    ...(named === undefined ? {} : { address: (await deps.resolveHost(named.host)).address }),
    ...(tls === undefined ? {} : { tls }),
  };
}
