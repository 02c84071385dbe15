import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { wish } from '../../src/filing/wishes.ts';
import type { MessageId } from '../../src/lib/id.ts';
import { startListener } from '../../src/mailbox/listener.ts';
import type { Listener, ListenerLimits } from '../../src/mailbox/listener.ts';
import type { ProviderName } from '../../src/provider/providers.ts';
import { rows } from '../../src/store/database.ts';
import type { Wish } from '../../src/store/wanted.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import type { ImapEndpoint } from '../support/dovecot.ts';
import { deliver, openMailbox, passwordOf } from '../support/mail.ts';
import type { MailboxClient } from '../support/mail.ts';
import { type UsedServers, useServers } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait.ts';
import { createScene, depsFor, waitForTold } from '../mailbox/listening.ts';
import type { Person, Scene } from '../mailbox/listening.ts';

const ann = 'ann@customer.example';
/** Only what the server tells is followed, and what is due is said soon. */
const quick: Partial<ListenerLimits> = {
  lookEveryMs: 1_000,
  goneWaitMs: 500,
  changePace: {
    qresync: { everyMs: 3_600_000, afterMs: 50 },
    condstore: { everyMs: 3_600_000, afterMs: 50 },
    plain: { everyMs: 3_600_000, afterMs: 50 },
  },
};

let database: TestDatabase;
let scene: Scene;
let servers: UsedServers;
const listeners: Listener[] = [];
const clients: MailboxClient[] = [];

before(async () => {
  servers = await useServers();
  database = await testDatabase('postgres');
  scene = await createScene(database.db);
});
after(() => database.drop());
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.stop();
  for (const client of clients.splice(0)) await client.close();
});

function listen(
  person: Person,
  endpoint: ImapEndpoint,
  provider: ProviderName,
  limits: Partial<ListenerLimits> = {},
): Listener {
  const deps = depsFor({
    world: scene.world,
    clock: systemClock,
    imap: { host: endpoint.host, port: endpoint.tlsPort, security: 'tls' },
    provider,
    limits: { ...quick, ...limits },
    loginOf: (mailbox) => Promise.resolve({ user: mailbox.login, password: passwordOf(mailbox.address) }),
  });
  const listener = startListener(deps, person.mailboxId);
  listeners.push(listener);
  return listener;
}

async function clientOf(address: string): Promise<MailboxClient> {
  const client = await openMailbox(servers, address);
  clients.push(client);
  return client;
}

/** What the CRM was told of a message, in order: `read state`. */
async function toldOf(sub: string, subject: string): Promise<string[]> {
  const found = await rows<{ line: string }>(
    database.db,
    `select concat_ws(' ', case when (data ->> 'read')::boolean then 'read' else 'unread' end, data ->> 'mailbox_state') as line
       from events where sub_account_id = :sub and type like 'message.%' and data ->> 'subject' = :subject order by ord`,
    { sub, subject },
  );
  return found.map((row) => row.line);
}

async function waitForMessage(sub: string, subject: string, ...expected: string[]): Promise<void> {
  await waitFor(`${subject}: ${expected.join(', ')}`, async () => {
    const told = await toldOf(sub, subject);
    return told.join('|') === expected.join('|') ? true : Promise.reject(new Error(told.join(', ')));
  });
}

describe('U2, U3: what is done in the mailbox reaches the CRM', () => {
  for (const [name, provider] of [
    ['full', 'imap'],
    ['gmail', 'gmail'],
    ['outlook', 'outlook'],
  ] as const) {
    test(`at a server with the habits of ${name}`, async () => {
      const address = `changes-${name}@flow.test`;
      const endpoint = servers.dovecot.imap[name];
      const person = await scene.person({ address, provider });
      const { sub } = person;
      const mailbox = await clientOf(address);
      const listener = listen(person, endpoint, provider);
      await waitForTold(database.db, person.mailboxId, ['live']);
      const uidOf = async (subject: string, folder?: string) =>
        (await mailbox.waitForMail(subject, folder)).uid;
      for (const subject of ['Flagged', 'Archived', 'Trashed', 'Deleted', 'While away']) {
        await deliver(servers, { from: ann, to: address, subject, text: 'x' });
        await waitForMessage(sub, subject, 'unread present');
      }
      await deliver(servers, { from: 'doctor@clinic.example', to: address, subject: 'Findings', text: 'x' });
      await mailbox.addFlags(await uidOf('Findings'), ['\\Seen']);

      await mailbox.addFlags(await uidOf('Flagged'), ['\\Seen', '\\Flagged']);
      await waitForMessage(sub, 'Flagged', 'unread present', 'read present');
      await mailbox.removeFlags(await uidOf('Flagged'), ['\\Seen']);
      await waitForMessage(sub, 'Flagged', 'unread present', 'read present', 'unread present');

      await mailbox.move(await uidOf('Archived'), 'INBOX', 'Archive');
      await waitForMessage(sub, 'Archived', 'unread present', 'unread archived');
      await mailbox.addFlags(await uidOf('Archived', 'Archive'), ['\\Seen'], 'Archive');
      await waitForMessage(sub, 'Archived', 'unread present', 'unread archived', 'read archived');

      await mailbox.move(await uidOf('Trashed'), 'INBOX', 'Trash');
      await waitForMessage(sub, 'Trashed', 'unread present', 'unread trashed');
      await mailbox.move(await uidOf('Trashed', 'Trash'), 'Trash', 'INBOX');
      await waitForMessage(sub, 'Trashed', 'unread present', 'unread trashed', 'unread present');

      await mailbox.remove(await uidOf('Deleted'));
      await waitForMessage(sub, 'Deleted', 'unread present', 'unread gone');

      await listener.stop();
      await mailbox.addFlags(await uidOf('Flagged'), ['\\Seen']);
      await mailbox.move(await uidOf('While away'), 'INBOX', 'Archive');
      await mailbox.remove(await uidOf('Trashed'));
      listen(person, endpoint, provider);
      await waitForMessage(
        sub,
        'Flagged',
        'unread present',
        'read present',
        'unread present',
        'read present',
      );
      await waitForMessage(sub, 'While away', 'unread present', 'unread archived');
      await waitForMessage(
        sub,
        'Trashed',
        'unread present',
        'unread trashed',
        'unread present',
        'unread gone',
      );
      assert.deepEqual(await toldOf(sub, 'Findings'), []);
      await waitForTold(database.db, person.mailboxId, ['live']);
    });
  }
});

describe('U2, U3: what the CRM asks for is done in the mailbox, once, and makes no echo', () => {
  for (const [name, provider] of [
    ['full', 'imap'],
    ['gmail', 'gmail'],
    ['outlook', 'outlook'],
  ] as const) {
    test(`at a server with the habits of ${name}`, async () => {
      const address = `wishes-${name}@flow.test`;
      const endpoint = servers.dovecot.imap[name];
      const person = await scene.person({ address, provider });
      const { sub } = person;
      const mailbox = await clientOf(address);
      const listener = listen(person, endpoint, provider);
      await waitForTold(database.db, person.mailboxId, ['live']);
      for (const subject of ['Read', 'Archived', 'Trashed']) {
        await deliver(servers, { from: ann, to: address, subject, text: 'x' });
        await waitForMessage(sub, subject, 'unread present');
      }
      const ask = async (subject: string, wanted: Partial<Wish>) => {
        const found = (await scene.world.messages(sub)).find((message) => message.subject === subject);
        const of = { subAccountId: sub, messageId: found?.id as MessageId };
        const result = await wish(scene.world.filing, of, { read: null, state: null, ...wanted });
        assert.deepEqual(result, { mailboxes: [person.mailboxId] });
        listener.wakeWanted();
      };
      const flagsOf = async (subject: string, folder?: string) =>
        [...(await mailbox.waitForMail(subject, folder)).flags].sort();

      await mailbox.addFlags((await mailbox.waitForMail('Read')).uid, ['\\Flagged']);
      await ask('Read', { read: true });
      assert.deepEqual(await toldOf(sub, 'Read'), ['unread present', 'read present'], 'at once');
      await waitFor('the flag', async () => (await flagsOf('Read')).includes('\\Seen'));
      assert.deepEqual(await flagsOf('Read'), ['\\Flagged', '\\Seen']);
      await ask('Read', { read: false });
      await waitFor('no flag', async () => !(await flagsOf('Read')).includes('\\Seen'));
      assert.deepEqual(await flagsOf('Read'), ['\\Flagged']);

      await ask('Archived', { state: 'archived', read: true });
      assert.deepEqual(await flagsOf('Archived', 'Archive'), ['\\Seen']);
      await waitForMessage(sub, 'Archived', 'unread present', 'read present', 'read archived');
      await ask('Trashed', { state: 'trashed' });
      assert.deepEqual(await flagsOf('Trashed', 'Trash'), []);
      await waitForMessage(sub, 'Trashed', 'unread present', 'unread trashed');

      await waitFor(
        'nothing is left to do',
        async () =>
          (await rows(database.db, 'select from wanted_changes where mailbox_id = :mailboxId', person))
            .length === 0,
      );
      const inbox = await mailbox.list();
      assert.deepEqual(
        inbox.map(({ subject }) => subject),
        ['Read'],
      );
      // Both sides have seen all of it by the time the next thing is told.
      await mailbox.addFlags((await mailbox.waitForMail('Read')).uid, ['\\Seen']);
      await waitForMessage(sub, 'Read', 'unread present', 'read present', 'unread present', 'read present');
      await ask('Archived', { state: 'trashed' });
      await waitForMessage(
        sub,
        'Archived',
        'unread present',
        'read present',
        'read archived',
        'read trashed',
      );
      assert.deepEqual(await toldOf(sub, 'Trashed'), ['unread present', 'unread trashed']);
      await waitForTold(database.db, person.mailboxId, ['live']);
    });
  }
});
