import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { consentByLink, startTestGateway } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';
import { openMailbox } from '../support/mail.ts';
import type { MailboxClient } from '../support/mail.ts';
import { useServers } from '../support/shared-servers.ts';
import type { UsedServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';

/** A message as the API shows it, as far as stories look at it. */
export type StoryMessage = {
  id: string;
  direction: string;
  via: string[];
  from: { address: string };
  to: { address: string }[];
  cc: { address: string }[];
  subject: string;
  text: string;
  reply_text: string;
  html: string | null;
  thread_id: string;
  internet_message_id: string | null;
  attachments: { n: number; name: string; size: number; type: string }[];
  send: { id: string; state: string } | null;
  automatic: string | null;
};

/** The stage of a story: a gateway with a webhook receiver, one sub-account, Ann the user, Carla the contact. */
export type Story = {
  servers: UsedServers;
  gateway: TestGateway;
  receiver: Receiver;
  /** Ann's mailbox and Carla's address; each story has a domain of its own. */
  ann: string;
  carla: string;
  /** Sub-account path. */
  sub: string;
  /** Ann's own mail client. */
  annClient: MailboxClient;
  /** Dovecot ends every session of Ann's, the gateway's too; her own client logs in again. */
  kick(): Promise<void>;
  connect(provider: 'gmail' | 'outlook'): Promise<void>;
  waitForState(state: string): Promise<void>;
  /** Messages of Carla's conversation, oldest first. */
  conversation(): Promise<StoryMessage[]>;
  /** The same, once it has this many. */
  conversationOf(count: number, deadlineMs?: number): Promise<StoryMessage[]>;
  end(): Promise<void>;
};

let stories = 0;

export async function openStory(options: {
  name: string;
  database: 'postgres' | 'pglite';
  environment?: Record<string, string>;
  /** Another way to PostgreSQL than its own port. */
  databasePort?: number;
  /** Carla's address, where the story gives her one. */
  contact?: string;
}): Promise<Story> {
  stories += 1;
  const servers = await useServers();
  const domain = `${options.name}${stories}-${process.pid}.test`;
  const ann = `ann@${domain}`;
  const carla = options.contact ?? `carla@customer-${domain}`;
  const gateway = await startTestGateway(servers, options);
  const receiver = await startReceiver();
  const sub = '/v1/sub-accounts/acme';
  await gateway.must('PUT', sub, { name: 'Acme' });
  await gateway.must('PUT', '/v1/users/ann', { name: 'Ann', email: ann });
  await gateway.must('PUT', `${sub}/users/ann`);
  await gateway.must('PUT', `${sub}/contacts/carla`, { name: 'Carla', emails: [carla] });
  const hook = await gateway.must<{ secret: string }>('POST', '/v1/webhooks', {
    url: receiver.url,
    types: [],
    sub_account_id: null,
  });
  receiver.trust(hook.secret);
  let annClient = await openMailbox(servers, ann);
  const conversation = async () => {
    const found = await gateway.must<{ data: { id: string }[] }>(
      'GET',
      `${sub}/conversations?contact_id=carla`,
    );
    const id = found.data[0]?.id;
    if (id === undefined) return [];
    const page = await gateway.must<{ data: StoryMessage[] }>(
      'GET',
      `${sub}/conversations/${id}/messages?order=asc&limit=200`,
    );
    return page.data;
  };
  const waitForState = async (state: string) => {
    await waitFor(
      `the connection to be ${state}`,
      async () => {
        const { body } = await gateway.call('GET', `${sub}/users/ann/connection`);
        if (body['state'] !== state)
          throw new Error(`it is ${String(body['state'])} (${String(body['reason'])})`);
        return true;
      },
      { deadlineMs: 30_000 },
    );
  };
  return {
    servers,
    gateway,
    receiver,
    ann,
    carla,
    sub,
    get annClient() {
      return annClient;
    },
    kick: async () => {
      await servers.doveadm('kick', ann);
      annClient = await openMailbox(servers, ann);
    },
    connect: async (provider) => {
      const link = await gateway.must<{ url: string }>('POST', `${sub}/users/ann/connection-links`, {
        provider,
      });
      const { status, page } = await consentByLink(link.url, ann);
      if (status >= 400) throw new Error(`consent ended with ${status}: ${page}`);
      await waitForState('live');
    },
    waitForState,
    conversation,
    conversationOf: (count, deadlineMs = 30_000) =>
      waitFor(
        `${count} messages in the conversation`,
        async () => {
          const messages = await conversation();
          if (messages.length !== count)
            throw new Error(`there are ${messages.map((message) => message.subject).join(' | ')}`);
          return messages;
        },
        { deadlineMs },
      ),
    end: async () => {
      await annClient.close();
      await receiver.stop();
      await gateway.remove();
    },
  };
}
