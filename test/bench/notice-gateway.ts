// The gateway whose notices are measured: one listener, with what takes events to webhooks.
import { newId } from '../../src/lib/id.ts';
import { openDatabase } from '../../src/store/database.ts';
import { insertWebhook } from '../../src/store/webhooks.ts';
import { newSecret } from '../../src/webhook/sign.ts';
import { preciseNow, serveParent } from './child.ts';
import { secretBox, startBenchGateway } from './gateway.ts';
import { addMailbox } from './tenant.ts';

export type GatewayOptions = {
  databaseUrl: string;
  blobsDirectory: string;
  webhookUrl: string;
  address: string;
  imapPort: number;
};

const options = JSON.parse(process.argv[2] ?? '') as GatewayOptions;
const { db } = await openDatabase({ kind: 'postgres', url: options.databaseUrl, connectionsMax: 10 });
const id = newId('whk');
const { sealed: secretSealed } = newSecret(secretBox, id);
await insertWebhook(db, { id, subAccountId: 'bench', url: options.webhookUrl, types: [], secretSealed });
const committedAt: number[] = [];
const gateway = startBenchGateway({
  db,
  blobsDirectory: options.blobsDirectory,
  imap: { host: '127.0.0.1', port: options.imapPort, security: 'none' },
  loginOf: (user) => ({ user, accessToken: 'any' }),
  committed: () => committedAt.push(preciseNow()),
});
gateway.listen(await addMailbox(db, options.address));
// When each commit that left events behind had returned, in order.
serveParent(() => committedAt);
