import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { Failure } from '../../src/lib/failure.ts';
import { newId } from '../../src/lib/id.ts';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { createLookAhead } from '../../src/mailbox/dry-run.ts';
import type { DryRun, DryRunProgress, LookAhead } from '../../src/mailbox/dry-run.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import { rows } from '../../src/store/database.ts';
import { provenCredentialContext } from '../../src/store/proven-logins.ts';
import type { ProvenLogin } from '../../src/store/proven-logins.ts';
import { createWorld } from '../filing/world.ts';
import type { World } from '../filing/world.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { openMailbox, passwordOf } from '../support/mail.ts';
import type { MailboxClient } from '../support/mail.ts';
import { type UsedServers, useServers } from '../support/shared-servers.ts';

const dayMs = 24 * 3_600_000;
const never = new AbortController().signal;
const secretBox = createSecretBox([Buffer.alloc(32, 7)]);

describe('C8: a dry run before a mailbox is connected', () => {
  let servers: UsedServers;
  let database: TestDatabase;
  let world: World;
  let people = 0;
  const clients: MailboxClient[] = [];

  before(async () => {
    servers = await useServers();
    database = await testDatabase('postgres');
    world = await createWorld(database.db);
  });
  after(() => database.drop());
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
  });

  type Mail = { days: number; from: string; to?: string; subject: string; answers?: string; folder?: string };

  /** A member with a mailbox of the real server and a contact, not connected. */
  async function person(): Promise<{
    address: string;
    sub: string;
    user: string;
    put(mail: Mail): Promise<unknown>;
    look(onProgress?: (progress: DryRunProgress) => void, stop?: AbortSignal): ReturnType<LookAhead>;
  }> {
    people += 1;
    const [address, sub, user] = [`ahead${people}@ahead.test`, `ahead-${people}`, `ahead-user-${people}`];
    await world.addSubAccount(sub);
    await world.addUser(user, `${user}@company.example`, [sub]);
    await world.addContact(sub, 'carla', ['carla@customer.example']);
    const client = await openMailbox(servers, address);
    clients.push(client);
    const { host, tlsPort: port } = servers.dovecot.imap.full;
    const id = newId('pvl');
    const login: ProvenLogin & { credentialSealed: string } = {
      id,
      linkId: newId('lnk'),
      mailbox: {
        provider: 'imap',
        address,
        login: address,
        identityKey: null,
        servers: { imap: { host, port, security: 'tls' }, smtp: { host, port: 1, security: 'none' } },
        credentialKind: 'password',
        scopes: [],
      },
      credentialSealed: secretBox.seal(passwordOf(address), provenCredentialContext(id)),
      accessTokenSealed: null,
      accessTokenExpiresAt: null,
      outcome: null,
    };
    const lookAhead = createLookAhead({
      filing: { ...world.filing, clock: systemClock, secretBox },
      providerOf: (name) => resolveProvider(name),
      resolveHost: (name) => Promise.resolve({ address: name, family: 4 }),
    });
    return {
      address,
      sub,
      user,
      put: ({ days, from, to = address, subject, answers, folder = 'INBOX' }) => {
        const date = new Date(Date.now() - days * dayMs);
        const id = (of: string) => `<${of.replaceAll(' ', '-')}-${address}>`;
        const lines = [
          `From: ${from}`,
          `To: ${to}`,
          `Subject: ${subject}`,
          `Message-ID: ${id(subject)}`,
          ...(answers === undefined ? [] : [`In-Reply-To: ${id(answers)}`]),
          `Date: ${date.toUTCString()}`,
          '',
          'Text.',
          '',
        ];
        return client.append(lines.join('\r\n'), folder, [], date);
      },
      look: (onProgress = () => undefined, stop = never) =>
        lookAhead({ subAccountId: sub, userId: user, login }, onProgress, stop),
    };
  }
  const listed = ({ listed }: DryRun) =>
    listed.map(({ direction, contacts, subject }) => `${direction} ${contacts.join()}: ${subject}`);
  const counts = ({ stored, contacts, left, seen, whole }: DryRun) => ({
    stored,
    contacts,
    left,
    seen,
    whole,
  });

  test('S2, S3, S6: by the rules, in both directions and whole threads; the rest stays private', async () => {
    const ann = await person();
    await ann.put({ days: 6, from: 'carla@customer.example', subject: 'A question' });
    await ann.put({
      days: 5,
      from: ann.address,
      to: 'carla@customer.example',
      subject: 'Re: A question',
      answers: 'A question',
      folder: 'Sent',
    });
    await ann.put({
      days: 4,
      from: 'dave@customer.example',
      to: `${ann.address}, carla@customer.example`,
      subject: 'Also',
      answers: 'Re: A question',
    });
    await ann.put({ days: 3, from: 'mum@home.example', subject: 'Sunday' });
    await ann.put({ days: 2, from: 'carla@customer.example', subject: 'Junk', folder: 'Junk' });
    await ann.put({ days: 2, from: 'bank@home.example', subject: 'Statement' });
    await ann.put({ days: 20, from: 'carla@customer.example', subject: 'Long ago' });
    const before = await rows(database.db, `select count(*) from messages`);
    const shares: number[] = [];
    const found = await ann.look(({ share }) => shares.push(share));
    assert.deepEqual(listed(found), [
      'inbound carla: Also',
      'outbound carla: Re: A question',
      'inbound carla: A question',
    ]);
    assert.deepEqual(counts(found), { stored: 3, contacts: 1, left: 2, seen: 5, whole: true });
    assert.equal(shares.at(-1), 1);
    for (const table of ['decisions', 'folders', 'connections', 'mailboxes', 'events', 'threads'])
      assert.deepEqual(await rows(database.db, `select 1 from ${table} limit 1`), [], `${table} stay empty`);
    assert.deepEqual(await rows(database.db, `select count(*) from messages`), before);
  });

  test('S12: one message in two folders is one', async () => {
    const ann = await person();
    for (const folder of ['INBOX', 'Archive']) {
      await ann.put({ days: 1, from: 'carla@customer.example', subject: 'Twice', folder });
      await ann.put({ days: 1, from: 'mum@home.example', subject: 'Private twice', folder });
    }
    const found = await ann.look();
    assert.deepEqual(counts(found), { stored: 1, contacts: 1, left: 1, seen: 4, whole: true });
  });

  test('S7: the mailbox’s address counts as the user’s already', async () => {
    const ann = await person();
    await world.addContact(ann.sub, 'self', [ann.address]);
    await ann.put({ days: 1, from: ann.address, subject: 'A note to myself' });
    const found = await ann.look();
    assert.deepEqual(counts(found), { stored: 0, contacts: 0, left: 1, seen: 1, whole: true });
  });

  test('a person who leaves the page ends it', async () => {
    const ann = await person();
    await assert.rejects(ann.look(undefined, AbortSignal.abort()), Failure);
  });
});
