import { ImapFlow } from 'imapflow';
import type { ServerAddress } from '../../src/provider/providers.ts';

/** A bare imapflow client, logged in, with INBOX open. */
export async function openRawClient(
  server: ServerAddress,
  auth: { user: string; pass: string } | { user: string; accessToken: string },
): Promise<ImapFlow> {
  const client = new ImapFlow({
    host: server.host,
    port: server.port,
    secure: server.security === 'tls',
    ...(server.security === 'none' ? { doSTARTTLS: false } : {}),
    auth,
    logger: false,
    disableAutoIdle: true,
  });
  // Without a listener a lost connection would end the process; the next command says what happened.
  client.on('error', () => undefined);
  await client.connect();
  await client.mailboxOpen('INBOX', { readOnly: true });
  return client;
}
