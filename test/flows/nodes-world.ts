import { openDatabase, rows } from '../../src/store/database.ts';
import type { Db } from '../../src/store/database.ts';
import { consentByLink, startTestGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { useServers } from '../support/shared-servers.ts';
import type { UsedServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';

/** A user with a connected mailbox, and their one contact. */
export type Pair = { user: string; mailbox: string; contact: string; customer: string };

/** Several nodes on one PostgreSQL, each a process of its own; the first makes the database and is the last to go. */
export type NodesWorld = {
  servers: UsedServers;
  nodes: TestGateway[];
  pairs: Pair[];
  receiver: Receiver;
  db: Db;
  sub: string;
  /** How many mailboxes each node has that has any, the most first. */
  shares(): Promise<number[]>;
  end(): Promise<void>;
};

let worlds = 0;

/** `environments` has an entry for each node; `people` are connected through the first one. */
export async function openNodes(options: {
  name: string;
  environments: Record<string, string>[];
  people: string[];
  provider?: 'gmail' | 'outlook';
}): Promise<NodesWorld> {
  worlds += 1;
  const servers = await useServers();
  const domain = `${options.name}${worlds}-${process.pid}.test`;
  const nodes: TestGateway[] = [];
  for (const environment of options.environments) {
    const [beside] = nodes;
    const shared = beside === undefined ? {} : { beside };
    nodes.push(await startTestGateway(servers, { database: 'postgres', environment, ...shared }));
  }
  const [first] = nodes;
  if (first === undefined) throw new Error('no node');
  const receiver = await startReceiver();
  const sub = '/v1/sub-accounts/acme';
  await first.must('PUT', sub, { name: 'Acme' });
  const hook = { url: receiver.url, types: [], sub_account_id: null };
  receiver.trust((await first.must<{ secret: string }>('POST', '/v1/webhooks', hook)).secret);
  const pairs = options.people.map((user) => ({
    user,
    mailbox: `${user}@${domain}`,
    contact: `contact-of-${user}`,
    customer: `customer-of-${user}@customer-${domain}`,
  }));
  for (const pair of pairs) await connect(first, sub, pair, options.provider ?? 'gmail');
  const opened = await openDatabase({
    kind: 'postgres',
    url: first.databaseUrl ?? '',
    connectionsMax: 2,
  });
  return {
    servers,
    nodes,
    pairs,
    receiver,
    db: opened.db,
    sub,
    shares: async () => {
      const found = await rows<{ n: number }>(
        opened.db,
        'select count(*)::int as n from mailboxes where node_id is not null group by node_id order by 1 desc',
      );
      return found.map(({ n }) => n);
    },
    end: async () => {
      await opened.close();
      await receiver.stop();
      for (const node of nodes.slice(1)) await node.remove();
      await first.remove();
    },
  };
}

async function connect(api: TestGateway, sub: string, pair: Pair, provider: string): Promise<void> {
  const { user, mailbox, contact, customer } = pair;
  await api.must('PUT', `/v1/users/${user}`, { name: user, email: mailbox });
  await api.must('PUT', `${sub}/users/${user}`);
  await api.must('PUT', `${sub}/contacts/${contact}`, { name: contact, emails: [customer] });
  const { url } = await api.must<{ url: string }>('POST', `${sub}/users/${user}/connection-links`, {
    provider,
  });
  const { status, page } = await consentByLink(url, mailbox);
  if (status >= 400) throw new Error(`consent ended with ${status}: ${page}`);
  await waitFor(
    `${user} to be live`,
    async () => {
      const { body } = await api.call('GET', `${sub}/users/${user}/connection`);
      return body['state'] === 'live' || Promise.reject(new Error(JSON.stringify(body)));
    },
    { deadlineMs: 30_000 },
  );
}
