import { readFile } from 'node:fs/promises';
import { startDns } from '../support/dns.ts';
import type { TestDns } from '../support/dns.ts';
import { useServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';
import { openStory } from './story.ts';
import type { Story, StoryMessage } from './story.ts';

/** A contact as the API shows it, as far as these stories look at it. */
export type StoryContact = {
  id: string;
  emails: string[];
  assigned_user_id: string | null;
  created_by: string;
};

/** A decision, likewise. */
export type StoryDecision = { outcome: string; reason: string };

/** A story with a door for logging addresses, to which the tests' Postfix relays, and a DNS that knows Ann's domain. */
export type LoggingStory = Story & {
  dns: TestDns;
  /** Ann's logging address. */
  logging: string;
  /** Where the gateway takes mail. */
  smtpPort: number;
  /** The one contact with this address; undefined while there is none. */
  contactOf(address: string): Promise<StoryContact | undefined>;
  /** Messages of the conversation with whoever has this address, oldest first. */
  messagesWith(address: string): Promise<StoryMessage[]>;
  /** The same, once these are the subjects. */
  waitForSubjects(address: string, subjects: readonly string[], deadlineMs?: number): Promise<StoryMessage[]>;
  decisionsOn(address: string): Promise<StoryDecision[]>;
  /** What Postfix noted of each try to relay mail from this sender: `sent`, `bounced` or `deferred`, and the reply. */
  relayed(from: string): Promise<string[]>;
};

/** Each test file that may run at the same time as another has a relay of its own. */
export async function openLoggingStory(options: {
  name: string;
  database: 'postgres' | 'pglite';
  relay: 'story' | 'storm';
  databasePort?: number;
  environment?: Record<string, string>;
}): Promise<LoggingStory> {
  const servers = await useServers();
  const { domain, port } = servers.smtp.relays[options.relay];
  const dns = await startDns();
  const story = await openStory({
    ...options,
    environment: {
      TWOWAY_LOGGING_DOMAIN: domain,
      TWOWAY_SMTP_PORT: String(port),
      TWOWAY_DNS_SERVERS: dns.address,
      ...options.environment,
    },
  });
  // As domains are whose mail is sent by one provider.
  dns.zone[`TXT ${domainOf(story.ann)}`] = ['v=spf1 ip4:127.0.0.1 -all'];
  const { gateway, sub } = story;
  const { address: logging } = await gateway.must<{ address: string }>(
    'GET',
    `${sub}/users/ann/logging-address`,
  );
  const contactOf = async (address: string) => {
    const { data } = await gateway.must<{ data: StoryContact[] }>('GET', `${sub}/contacts?email=${address}`);
    if (data.length > 1) throw new Error(`${data.length} contacts with ${address}`);
    return data[0];
  };
  const messagesWith = async (address: string) => {
    const contact = await contactOf(address);
    if (contact === undefined) return [];
    const conversations = await gateway.must<{ data: { id: string }[] }>(
      'GET',
      `${sub}/conversations?contact_id=${contact.id}`,
    );
    const [one, ...more] = conversations.data;
    if (more.length > 0) throw new Error(`${more.length + 1} conversations with ${address}`);
    return one === undefined ? [] : allOf<StoryMessage>(story, `${sub}/conversations/${one.id}/messages`);
  };
  return {
    ...story,
    // A getter: the client is another one after each kick.
    get annClient() {
      return story.annClient;
    },
    dns,
    logging,
    smtpPort: port,
    contactOf,
    messagesWith,
    waitForSubjects: (address, subjects, deadlineMs = 30_000) =>
      waitFor(
        `${subjects.join(', ')} in the conversation with ${address}`,
        async () => {
          const messages = await messagesWith(address);
          const found = messages.map(({ subject }) => subject);
          if (found.toSorted().join('\n') !== subjects.toSorted().join('\n'))
            throw new Error(found.join(' | '));
          return messages;
        },
        { deadlineMs },
      ),
    decisionsOn: (address) => allOf<StoryDecision>(story, `${sub}/decisions?address=${address}`),
    relayed: async (from) => {
      const lines = (await readFile(servers.smtp.logPath, 'utf8')).split('\n');
      const ids = new Set(
        lines.flatMap((line) => (line.includes(`from=<${from}>`) ? [queueId.exec(line)?.[1] ?? ''] : [])),
      );
      return lines.flatMap((line) => {
        const at = line.indexOf('status=');
        const isOne = line.includes(`@${domain}>`) && ids.has(queueId.exec(line)?.[1] ?? '-');
        return at < 0 || !isOne ? [] : [line.slice(at + 'status='.length)];
      });
    },
    end: async () => {
      await story.end();
      await dns.stop();
    },
  };
}

const queueId = /\]: ([0-9A-Za-z]+): /;

/** All of a list of the API, the oldest first where it is one of messages. */
export async function allOf<Item>({ gateway }: Story, path: string): Promise<Item[]> {
  const items: Item[] = [];
  const order = path.endsWith('/messages') ? '&order=asc' : '';
  const url = `${path}${path.includes('?') ? '&' : '?'}limit=200${order}`;
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { data: Item[]; next_cursor: string | null } = await gateway.must(
      'GET',
      cursor === '' ? url : `${url}&cursor=${encodeURIComponent(cursor)}`,
    );
    items.push(...page.data);
    cursor = page.next_cursor;
  }
  return items;
}

export function domainOf(address: string): string {
  return address.slice(address.indexOf('@') + 1);
}
