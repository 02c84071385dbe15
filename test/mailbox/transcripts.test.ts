import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { ProviderName } from '../../src/provider/providers.ts';
import { rows } from '../../src/store/database.ts';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import type { ScriptPeer } from '../support/script-peer.ts';
import { waitFor } from '../support/wait.ts';
import { countsOf, createScene, decisionsOf, openStage, toldOf } from './listening.ts';
import type { Scene, Stage, StageOptions } from './listening.ts';

const hourMs = 3_600_000;

/** What the listener makes of each transcript. */
const plays: Record<string, { options?: StageOptions; play(stage: Stage): Promise<void> }> = {
  'gmail-all-mail-idle': {
    async play({ peer, told, decided }) {
      await peer.finished();
      await told('live');
      await decided('all 501 stored from_contact', 'all 502 stored thread_member');
      assert.equal(peer.sent('* EXAMINE *').length, 1, 'All Mail alone is opened');
      assert.deepEqual(peer.sent('* COMPRESS *'), [], 'compression costs more memory than the whole rest');
    },
  },
  'gmail-all-mail-hidden': {
    async play({ peer, told, decided }) {
      await peer.finished();
      await told('live');
      await decided('sent 31 stored to_contact', 'inbox 41 stored thread_member');
      assert.equal(peer.sent('* EXAMINE *').length, 2);
    },
  },
  'gmail-bye-after-an-hour': {
    options: { limits: { lookEveryMs: 2 * hourMs, outageMs: 2 * hourMs, provenMs: 0 } },
    async play({ peer, told, decided, pass }) {
      await pass(1_000);
      await peer.waitFor('back');
      await decided('all 501 stored from_contact');
      await told('live');
    },
  },
  'gmail-bad-token': {
    options: { tokens: { has: ['old', 'fresh'], takes: ['fresh'] } },
    async play({ peer, told }) {
      await told('live');
      assert.equal(peer.sent('* AUTHENTICATE *').length, 2, 'another token is tried at once');
    },
  },
  'gmail-too-many-connections': {
    async play({ peer, told, pass }) {
      await told('rate_limited too_many_connections');
      assert.equal(peer.sent('* AUTHENTICATE *').length, 1);
      await pass(60_000);
      await peer.finished();
      await told('rate_limited too_many_connections', 'live');
    },
  },
  'gmail-unavailable-at-login': {
    async play({ peer, told, pass }) {
      await pass(1_000);
      await peer.finished();
      await told('live');
    },
  },
  'gmail-overquota': {
    async play({ peer, told, pass }) {
      await told('rate_limited bandwidth_limit');
      await pass(hourMs);
      await peer.finished();
      await told('rate_limited bandwidth_limit', 'live');
    },
  },
  'outlook-idle-silent': {
    options: { limits: { lookEveryMs: 600_000 } },
    async play({ peer, told, decided }) {
      await peer.waitFor('silent');
      await peer.waitFor('renewed');
      await decided('inbox 1042 stored from_contact');
      await told('live');
    },
  },
  'outlook-bye-access-token-expired': {
    options: { limits: { lookEveryMs: 2 * hourMs, outageMs: 2 * hourMs, provenMs: 0 } },
    async play({ peer, told, decided, pass }) {
      await told('live');
      peer.signal('hour');
      await pass(1_000);
      await peer.waitFor('back');
      await decided('inbox 1042 stored from_contact');
      await told('live');
    },
  },
  'outlook-bad-token': {
    options: { tokens: { has: ['old', 'stale', 'staler'], takes: [] } },
    async play({ peer, told, pass, passUntil }) {
      await pass(2_000);
      await told('degraded login_refused');
      const tries = peer.sent('* AUTHENTICATE *').length;
      const isTriedOn = () => peer.sent('* AUTHENTICATE *').length > tries + 5;
      await passUntil('it is tried on', isTriedOn, 300_000);
      // The token endpoint gives fresh tokens: the consent stands, whatever the IMAP server says.
      await told('degraded login_refused');
    },
  },
  'outlook-authenticated-but-not-connected': {
    async play({ peer, told, pass }) {
      await pass(1_000);
      await peer.finished();
      await told('live');
    },
  },
  'outlook-throttled': {
    async play({ peer, told, pass }) {
      await pass(1_000);
      await peer.finished();
      await told('live');
    },
  },
  'outlook-fetch-misses-new-message': {
    async play({ peer, decided, told, pass }) {
      await peer.waitFor('idle');
      await waitFor('the first look', () => peer.sent('* UID FETCH 1042:\\* *').length > 0);
      await pass(500);
      await peer.finished();
      await decided('inbox 1042 stored from_contact');
      await told('live');
    },
  },
  'outlook-unconvertible-item': {
    async play({ peer, decided, told }) {
      await peer.finished();
      await decided(
        'inbox 1042 stored from_contact',
        'inbox 1043 failed unreadable',
        'inbox 1044 failed unreadable',
        'inbox 1045 stored from_contact',
      );
      await told('live');
    },
  },
  'outlook-localised-folders': {
    async play({ peer, decided, told }) {
      await peer.finished();
      await decided('sent 201 stored to_contact');
      await told('live');
      const asked = [...peer.sent('* STATUS *'), ...peer.sent('* EXAMINE *')].join('\n');
      for (const unwatched of ['Gel&', 'Entw&', 'Junk']) assert.ok(!asked.includes(unwatched), asked);
      assert.match(asked, /STATUS Archiv /);
    },
  },
  'uidvalidity-change': {
    options: { limits: { provenMs: 0 } },
    async play({ peer, decided, told, mailboxId, sub }) {
      await peer.finished();
      await decided('inbox 1041 stored from_contact', 'inbox 5 stored thread_member');
      assert.ok((await decisionsOf(database.db, mailboxId)).includes('inbox 4 stored duplicate'));
      assert.deepEqual(await countsOf(database.db, sub), { messages: 2, created: 2 });
      await told('live');
    },
  },
  'folder-vanishes': {
    async play({ peer, decided, told, mailboxId }) {
      await peer.waitFor('vanished');
      await waitFor('a sweep', () => peer.sent('* STATUS Projects *').length > 0);
      peer.signal('swept');
      await peer.finished();
      await decided('inbox 11 stored from_contact');
      await told('live');
      const kept = await rows(
        database.db,
        `select from folders where mailbox_id = :mailboxId and path = 'Projects'`,
        {
          mailboxId,
        },
      );
      assert.equal(kept.length, 1, 'nothing is deleted for it');
    },
  },
  'dead-in-idle': {
    options: { limits: { provenMs: 0 } },
    async play({ peer, clock, pass, decided, told }) {
      await peer.waitFor('idle');
      await told('live');
      const startedAt = clock.now();
      await pass(40_000);
      // The look asks a question that nobody answers.
      await pass(12_000);
      await peer.waitFor('back');
      await decided('inbox 11 stored from_contact');
      await told('live');
      assert.ok(
        clock.now() - startedAt <= 60_000,
        'a dead connection delays no message by more than a minute',
      );
    },
  },
};

let database: TestDatabase;
let scene: Scene;

before(async () => {
  database = await testDatabase('pglite');
  scene = await createScene(database.db);
});
after(() => database.drop());

describe('C5, S14: the listener and every transcript', () => {
  for (const [name, { options, play }] of Object.entries(plays)) {
    test(name, () => staged(`imap/${name}`, options ?? {}, play));
  }

  test('every transcript is played here', () => {
    const files = readdirSync(new URL('../fixtures/imap', import.meta.url));
    const names = Object.keys(plays).map((name) => `${name}.txt`);
    assert.deepEqual(files.sort(), names.sort());
  });
});

async function staged(
  source: string,
  options: StageOptions,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  const stage = await openStage(scene, source, { provider: providerIn(source), ...options });
  try {
    await play(stage);
    await stage.peer.finished();
    assertOnlyReads(stage.peer);
    const told = await toldOf(database.db, stage.mailboxId);
    assert.deepEqual(told.filter(again), [], 'no state is told twice in a row');
  } finally {
    await stage.end();
  }
}

function providerIn(source: string): ProviderName {
  return source.includes('gmail') ? 'gmail' : source.includes('outlook') ? 'outlook' : 'imap';
}

function again(line: string, at: number, lines: string[]): boolean {
  return lines[at - 1] === line;
}

/** U2: nothing is ever marked; S5: nothing is read whole that need not be. */
function assertOnlyReads(peer: ScriptPeer): void {
  for (const pattern of ['* SELECT *', '* STORE *', '* EXPUNGE*', '* APPEND *', '* COPY *', '* MOVE *']) {
    assert.deepEqual(peer.sent(pattern), []);
  }
  assert.deepEqual(peer.sent('* FETCH 1:\\* *'), [], 'no folder is read from its beginning');
  assert.deepEqual(peer.sent('*BODY[*'), [], 'reading marks nothing as read');
}
