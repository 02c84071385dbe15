// A mail server that announces a message in the tick in which it arrives: the sandbox's IMAP server, in a
// process of its own. Dovecot holds notices back by half a second, so it cannot measure ours.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../src/lib/clock.ts';
import { createLog } from '../../src/lib/log.ts';
import { createImapServer } from '../../src/sandbox/imap-server.ts';
import { openStore } from '../../src/sandbox/store.ts';
import { serveParent } from './child.ts';

export type Arrival = { address: string; raw: string };

const store = openStore({ clock: systemClock });
const { server } = createImapServer({
  store,
  authorise: (login) => store.open(login),
  log: createLog('warn'),
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
serveParent(
  () => (server.address() as AddressInfo).port,
  (news) => {
    const { address, raw } = news as Arrival;
    store.append(store.open(address).folders.INBOX, Buffer.from(raw));
  },
);
