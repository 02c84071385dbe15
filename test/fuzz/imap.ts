import { createKeyedGate } from '../../src/mailbox/gate.ts';
import { startListener } from '../../src/mailbox/listener.ts';
import { openSession } from '../../src/mailbox/session.ts';
import { sessionLimits } from '../../src/mailbox/answer-limits.ts';
import { rows } from '../../src/store/database.ts';
import { countsOf, decisionsOf, depsFor, keptLog, toldOf } from '../mailbox/listening.ts';
import type { Person, Scene } from '../mailbox/listening.ts';
import { createRandom } from '../sim/random.ts';
import type { Random } from '../sim/random.ts';
import { createManualClock } from '../support/manual-clock.ts';
import { startScriptPeer } from '../support/script-peer.ts';
import type { Garble } from '../support/script-wire.ts';
import { faithfulWays, falseWays } from './garble.ts';
import { waitFor } from '../support/wait.ts';

/*
 * One listener against one server whose answers are spoiled on the way, by a seed, for some connections; the ones after
 * those are as they should be. An even seed spoils without a lie: whatever it does, every message must be judged in the
 * end, once, and no cursor may pass one that is not. An odd one makes lines untrue, of which a client cannot know better: what must hold then is that nothing
 * crashes, hangs or grows, and that a person is not asked for a new consent.
 */

/** So that what hangs is given up while the test waits for it. */
const limits = {
  ...sessionLimits,
  connectMs: 2_000,
  greetingMs: 400,
  silenceMs: 400,
  loginMs: 2_000,
  answerMs: 2_000,
  bodiesMs: 2_000,
  answerBytesMax: 8 * 1024 * 1024,
  literalBytesMax: 4 * 1024 * 1024,
  responseBytesMax: 5 * 1024 * 1024,
  lineBytesMax: 1024 * 1024,
};

const capabilities = [
  'IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS',
  'IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 IDLE NAMESPACE SPECIAL-USE UIDPLUS LIST-EXTENDED LIST-STATUS ENABLE CONDSTORE ESEARCH',
];

const firstUid = 11;
const deadlineMs = 20_000;

const letter = (n: number, from: string, to = 'user@company.example') =>
  Buffer.from(
    `From: <${from}>\r\nTo: <${to}>\r\nSubject: About ${n}\r\nMessage-ID: <${n}.${from}>\r\n\r\nText ${n}.\r\n`,
  );

const garbleBy =
  (random: Random, plan: { isFaithful: boolean; spoiledMax: number; share: number }): Garble =>
  (bytes, ordinal) => {
    if (ordinal > plan.spoiledMax || !random.chance(plan.share)) return { bytes };
    if (random.chance(0.15)) {
      const cut = bytes.subarray(0, random.below(bytes.length));
      return { bytes: cut, end: random.pick(['close', 'reset'] as const) };
    }
    return { bytes: random.pick(plan.isFaithful ? faithfulWays : falseWays)(bytes, random) };
  };

/** Plays one seed on a scene of its own person. What is wrong with how it went; nothing, most of the time. */
export async function fuzzImap(scene: Scene, seed: number): Promise<string[]> {
  const random = createRandom(seed);
  const isFaithful = seed % 2 === 0;
  const person = await scene.person();
  const plan = { isFaithful, spoiledMax: 2 + random.below(6), share: random.pick([0.02, 0.1, 0.5]) };
  const peer = await startScriptPeer(
    `capabilities: ${random.pick(capabilities)}
folder: INBOX uidvalidity 7 uidnext ${firstUid} exists 2
folder: Sent \\Sent uidvalidity 8 uidnext ${firstUid} exists 1
folder: Junk \\Junk uidvalidity 3 uidnext 9 exists 3
folder: Projects uidvalidity 9 uidnext ${firstUid} exists 2
`,
    { garble: garbleBy(random, plan) },
  );
  const clock = createManualClock(Date.now());
  const log = keptLog();
  const deps = depsFor({
    world: scene.world,
    clock,
    imap: { host: peer.host, port: peer.port, security: 'none' },
    log,
  });
  deps.gates.logins = createKeyedGate(4);
  deps.openSession = (options) => openSession({ ...options, limits });
  const ledger = createLedger();
  const deliver = () => {
    const [folder, raw, outcome] = ledger.next(random);
    peer.deliver(folder, raw);
    return outcome;
  };
  for (let n = random.below(6) + 2; n > 0; n -= 1) deliver();
  const listener = startListener(deps, person.mailboxId);
  const wrong: string[] = [];
  const end = performance.now() + deadlineMs;
  let late = random.below(4);
  try {
    for (;;) {
      if (isFaithful) wrong.push(...(await passedOver(scene, person, ledger)));
      const isDone = late === 0 && (await missing(scene, person, ledger)).length === 0;
      if (isDone || wrong.length > 0) break;
      if (!isFaithful && peer.transcript().includes(`connection ${plan.spoiledMax + 2}`)) break;
      if (performance.now() > end) {
        if (isFaithful) wrong.push(`not judged: ${(await missing(scene, person, ledger)).join(', ')}`);
        break;
      }
      if (late > 0 && random.chance(0.3)) {
        deliver();
        late -= 1;
      }
      // What is under way ends by limits of real time, well before.
      await waitFor('the listener to wait', () => clock.sleeping() > 0, { everyMs: 10 });
      await clock.advance(random.pick([100, 1_000, 12_000, 40_000, 300_000]));
    }
    wrong.push(...(await atTheEnd(scene, person, { ledger, isFaithful })));
  } finally {
    const stopped = await Promise.race([
      listener.stop().then(() => true),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 5_000)),
    ]);
    if (!stopped) wrong.push('it does not stop');
    if (wrong.length > 0) wrong.push(peer.transcript());
    // A line that was spoiled makes the client say what no script expects.
    await peer.stop().catch(() => undefined);
  }
  const errors = log.lines
    .filter(({ level }) => level === 'error')
    .map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`);
  return [...new Set([...wrong, ...errors])].map((line) => `${line}\n`);
}

/** What was put into which folder, and what must become of it. */
function createLedger() {
  const put: { folder: string; uid: number; line: string; stored: boolean }[] = [];
  const uids = new Map<string, number>();
  return {
    all: put,
    next(random: Random): [folder: string, raw: Buffer, line: string] {
      const folder = random.pick(['INBOX', 'INBOX', 'INBOX', 'Sent', 'Projects']);
      const role = { INBOX: 'inbox', Sent: 'sent', Projects: 'other' }[folder] ?? '';
      const uid = uids.get(folder) ?? firstUid;
      uids.set(folder, uid + 1);
      const stored = random.chance(0.6);
      const other = stored ? 'ann@customer.example' : 'somebody@else.example';
      const raw =
        role === 'sent' ? letter(put.length, 'user@company.example', other) : letter(put.length, other);
      const why = stored
        ? role === 'sent'
          ? 'stored to_contact'
          : 'stored from_contact'
        : 'skipped no_match';
      const line = `${role} ${uid} ${why}`;
      put.push({ folder, uid, line, stored });
      return [folder, raw, line];
    },
  };
}

type Ledger = ReturnType<typeof createLedger>;

async function missing({ db }: Scene, { mailboxId }: Person, ledger: Ledger): Promise<string[]> {
  const made = new Set(await decisionsOf(db, mailboxId));
  return ledger.all.map(({ line }) => line).filter((line) => !made.has(line));
}

/** Messages behind which a cursor stands, of the folder as it really is, and that have no decision. */
async function passedOver({ db }: Scene, { mailboxId }: Person, ledger: Ledger): Promise<string[]> {
  const folders = await rows<{ path: string; cursor: number }>(
    db,
    `select path, cursor_uid::int as cursor from folders where mailbox_id = :mailboxId and uid_validity in (7, 8, 9)`,
    { mailboxId },
  );
  const decided = new Set(
    (
      await rows<{ place: string }>(
        db,
        `select f.path || ' ' || d.uid as place from decisions d join folders f on f.id = d.folder_id where d.mailbox_id = :mailboxId`,
        { mailboxId },
      )
    ).map(({ place }) => place),
  );
  return ledger.all
    .filter(({ folder, uid }) => {
      const cursor = folders.find(({ path }) => path === folder)?.cursor ?? 0;
      return cursor >= uid && !decided.has(`${folder} ${uid}`);
    })
    .map(({ folder, uid }) => `${folder} ${uid} was passed over`);
}

async function atTheEnd(
  scene: Scene,
  person: Person,
  { ledger, isFaithful }: { ledger: Ledger; isFaithful: boolean },
): Promise<string[]> {
  const wrong: string[] = [];
  const told = await toldOf(scene.db, person.mailboxId);
  if (told.some((line) => line.startsWith('reauth_required'))) wrong.push(`told: ${told.join(', ')}`);
  if (told.some((line, at) => line === told[at - 1])) wrong.push(`told twice: ${told.join(', ')}`);
  if (!isFaithful) return wrong;
  const decided = await decisionsOf(scene.db, person.mailboxId);
  if (decided.length !== ledger.all.length) wrong.push(`decisions: ${decided.join(', ')}`);
  const stored = ledger.all.filter((one) => one.stored).length;
  const { messages, created } = await countsOf(scene.db, person.sub);
  if (messages !== stored || created !== stored)
    wrong.push(`${messages} stored and ${created} told of ${stored}`);
  return wrong;
}
