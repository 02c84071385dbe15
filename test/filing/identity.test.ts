import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { testDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { batchesOf, createOffice, parseTable } from './identity-table.ts';
import type { Line } from './identity-table.ts';
import { createWorld } from './world.ts';
import type { World } from './world.ts';

/** By rule: what a case is about, and its messages in the order in which they come (see identity-table.ts). */
const tables: Record<string, [what: string, table: string][]> = {
  'S12: one message, however often and wherever it is seen': [
    [
      'in another folder, and moved back',
      `A   inbox    carla > ann  Plan = from_contact A 1
       A2  archive  copy A            = duplicate A 1
       A3  inbox    copy A            = duplicate A 1`,
    ],
    [
      'a stranger’s stays private in every folder',
      `A   inbox    stan > ann  Plan  = no_match
       A2  archive  copy A            = no_match`,
    ],
    [
      'of the Sent folder, and received by a colleague',
      `A   sent       ann > carla cc bob  Plan = to_contact A 1
       A2  bob:inbox  copy A                   = counterpart_is_user`,
    ],
    [
      'in two mailboxes',
      `A   inbox      carla > ann, bob  Plan           = from_contact A 1
       A2  bob:inbox  copy A                           = from_contact A 1
       A3  bob:inbox  copy A                           = duplicate A 1
       B   bob:sent   bob > carla  Re: Plan  reply a   = thread_member B 1
       C   inbox      carla > ann  Re: Plan  refs a b  = thread_member C 1`,
    ],
    [
      'with lines folded and words encoded anew by a server on its way',
      `A   inbox      carla > ann, bob  Große Pläne = from_contact A 1
       A2  bob:inbox  copy A  subject =?iso-8859-1?Q?Gro=DFe?= =?utf-8?Q?_Pl=C3=A4ne?= = from_contact A 1`,
    ],
    [
      'with its recipients in another order, and one twice',
      `A   inbox    carla > ann cc stan  Plan             = from_contact A 1
       A2  archive  carla > stan, ann cc ann  Plan  id a  at 0 = duplicate A 1`,
    ],
    [
      'with another display name, and the time in another zone',
      `A   inbox    carla > ann  Plan  Date: Fri, 20 Nov 2026 10:00:00 +0100 = from_contact A 1
       A2  archive  copy A  from "Carla C." carla  Date: Fri, 20 Nov 2026 09:00:00 GMT = duplicate A 1`,
    ],
    [
      'redirected by a rule, or sent on by its sender',
      `A   inbox      carla > ann  Plan  = from_contact A 1
       A2  inbox      copy A  Resent-From: x@stranger.example  Resent-Message-ID: <other@x.example> = duplicate A 1
       A3  bob:inbox  copy A  Received: from a.example by b.example; Fri, 20 Nov 2026 10:00:00 +0000 = from_contact A 1`,
    ],
    [
      'without an id',
      `A   inbox    carla > ann  Scan  id - = from_contact A 1
       A2  archive  copy A                  = duplicate A 1`,
    ],
    [
      'without an id, and empty brackets for one: both have none',
      `A   inbox    carla > ann  Scan  Message-ID: <>  = from_contact A 1
       A2  archive  copy A                             = duplicate A 1`,
    ],
    [
      'without an id, the next one of the same device',
      `A  inbox  carla > ann  Scan  id -        = from_contact A 1
       B  inbox  carla > ann  Scan  id -        = from_contact B 2
       C  inbox  carla > ann  Scan  id -  at 0  X-Pages: 2 = from_contact C 3`,
    ],
    [
      'by what Outlook or Gmail called it before, told by the later copy',
      `A   inbox    carla > ann  Plan                    = from_contact A 1
       A2  archive  copy A  id new  orig a               = duplicate A 1
       A3  inbox    copy A  id new                       = duplicate A 1
       B   inbox    stan > ann  Re: Plan  reply new      = thread_member B 1
       C   inbox    stan > ann  Re: Plan  reply a        = thread_member C 1`,
    ],
    [
      'by what Outlook or Gmail called it before, told by the earlier copy',
      `A   inbox    carla > ann  Plan  id new  orig a    = from_contact A 1
       A2  archive  copy A  id a                         = duplicate A 1
       B   inbox    stan > ann  Re: Plan  reply new      = thread_member B 1
       C   inbox    stan > ann  Re: Plan  reply a        = thread_member C 1`,
    ],
    [
      'a broken id that Gmail replaced',
      `A   inbox    carla > ann  Plan  id SMTPIN_ADDED_BROKEN  X-Google-Original-Message-ID: a@x.example = from_contact A 1
       B   inbox    stan > ann  Re: Plan  reply a                                                        = thread_member B 1`,
    ],
    [
      'by Gmail’s own id, in this mailbox alone',
      `A   all      carla > ann, bob  Plan  gm 7/1            = from_contact A 1
       A2  archive  carla > ann, bob  [EXTERNAL] Plan  gm 7/1 = duplicate A 1
       B   bob:all  carla > ann, bob  Other  gm 9/1           = from_contact B 2`,
    ],
  ],
  'S12: an equal id is no equal message': [
    [
      'a sender uses one id for everything: each is stored, in a thread of its own',
      `A  inbox  carla > ann  Invoice 1  id same = from_contact A 1
       B  inbox  carla > ann  Invoice 2  id same = from_contact B 2
       C  inbox  carla > ann  Invoice 2  id same = from_contact C 3
       C2  archive  copy C                       = duplicate C 3`,
    ],
    [
      'a stranger’s mail that has the id of a stored one stays private',
      `A  inbox  carla > ann  Plan                = from_contact A 1
       B  inbox  doctor > ann  Findings  id a     = no_match
       C  inbox  doctor > ann  Findings  id z  orig a = no_match`,
    ],
    [
      'two contacts’ programs use the same id: an answer goes where its people are',
      `A  inbox  carla > ann  Plan  id same            = from_contact A 1
       B  inbox  cyril > ann  Offer  id same           = from_contact B 2
       C  inbox  cyril > ann  Re: Offer  reply same    = thread_member C 2
       D  inbox  carla > ann  Re: Plan  reply same     = thread_member D 1
       E  sent   ann > cyril  Re: Offer  refs same     = thread_member E 2`,
    ],
    [
      'ids differ by case',
      `A  inbox  carla > ann  Plan  id AbC           = from_contact A 1
       B  inbox  carla > ann  Plan  id abc  at 0     = from_contact B 2`,
    ],
    [
      'the same id and letter, with a subject that a server marked: another message, and no lost one',
      `A   inbox      carla > ann, bob  Plan                  = from_contact A 1
       A2  bob:inbox  copy A  subject [EXTERNAL] Plan         = from_contact A2 2`,
    ],
  ],
  'S3: ids, however they are written': [
    [
      'without brackets, folded, encoded, among words',
      `A  inbox  carla > ann  Plan  Message-ID: a.long.id@x.example              = from_contact A 1
       B  inbox  stan > ann  Re: Plan  In-Reply-To: <a.long.\\id@x.example>      = thread_member B 1
       C  inbox  stan > ann  Re: Plan  References: =?us-ascii?Q?=3Ca=2Elong=2Eid?=\\=?us-ascii?Q?=40x=2Eexample=3E?= = thread_member C 1
       D  inbox  stan > ann  Re: Plan  In-Reply-To: Your message "Plan" <a.long.id@x.example> of today = thread_member D 1
       E  inbox  stan > ann  Re: Plan  In-Reply-To: <unknown@x.example> <a.long.id@x.example>   = thread_member E 1
       F  inbox  stan > ann  Re: Plan  References: <r@x.example\\ <a.long.id@x.example>   = thread_member F 1`,
    ],
    [
      'an id that its sender folded and encoded',
      `A  inbox  carla > ann  Plan  Message-ID: =?utf-8?Q?=3Ca=2Elong?=\\=?utf-8?Q?=2Eid=40x=2Eexample=3E?= = from_contact A 1
       B  inbox  stan > ann  Re: Plan  References: <a.long.id@x.example>  = thread_member B 1`,
    ],
    [
      'an empty id, a word or an address is none',
      `A  inbox  carla > ann  Plan  Message-ID: <>  References: <>  = from_contact A 1
       B  inbox  stan > ann  Re: Plan  In-Reply-To: <>            = no_match
       C  inbox  stan > ann  Re: Plan  References: < >            = no_match
       D  inbox  stan > ann  Re: Plan  In-Reply-To: message of 3 May to carla@customer.example = no_match
       E  inbox  stan > ann  Re: Plan  In-Reply-To: =?utf-8?Q?=3C=3E?= = no_match`,
    ],
    [
      'a message that cites itself',
      `A  inbox  carla > ann  Plan  reply a = from_contact A 1
       B  inbox  stan > ann  Re: Plan  reply a = thread_member B 1
       C  inbox  stan > ann  Other  reply c = no_match`,
    ],
  ],
  'S3: References against In-Reply-To against Gmail’s thread against Thread-Index': [
    [
      'what it answers, before what it cites; the newest that it cites, before the older',
      `A  inbox  carla > ann  Plan                     = from_contact A 1
       B  inbox  carla > ann  Offer                    = from_contact B 2
       C  inbox  carla > ann  Re: Plan  reply a  refs a b = thread_member C 1
       D  inbox  carla > ann  Re: Offer  refs a b      = thread_member D 2
       E  inbox  carla > ann  Re: Plan  refs b a       = thread_member E 1`,
    ],
    [
      'ids before Gmail’s thread before Thread-Index',
      `A  all  carla > ann  Plan  gm 1  ti 1            = from_contact A 1
       B  all  carla > ann  Offer  gm 2  ti 2           = from_contact B 2
       C  all  stan > ann  Re: Offer  gm 2              = thread_member C 2
       D  all  carla > ann  New words  reply a  gm 2  ti 2.1 = thread_member D 1
       E  all  carla > ann  Re: Plan  gm 1  ti 2.2      = thread_member E 1`,
    ],
    [
      'Outlook drops References when the subject is edited; Thread-Index stays for who is on the thread',
      `A  inbox  carla > ann cc stan  Plan  ti 1        = from_contact A 1
       B  inbox  stan > ann  Another subject  ti 1.1    = thread_member B 1
       C  inbox  doctor > ann  Findings  ti 1.2         = no_match`,
    ],
    [
      'a Thread-Index that is none',
      `A  inbox  carla > ann cc stan  Plan  Thread-Index: AQAAAAAA   = from_contact A 1
       B  inbox  stan > ann  Re: Plan  Thread-Index: AQAAAAAA        = no_match
       C  inbox  carla > ann cc stan  Plan  Thread-Index: AQHQqgEBAAAAAAAAAAAAAAAAAAAAAA==  = from_contact C 2
       D  inbox  stan > ann  Re: Plan  Thread-Index: AQHQqgEBAAAAAAAAAAAAAAAAAAAAAA==       = no_match`,
    ],
    [
      'Gmail’s number of a thread in another mailbox is another thread’s',
      `A  all      carla > ann  Plan  gm 7             = from_contact A 1
       B  bob:all  stan > bob  Lunch  gm 7             = no_match`,
    ],
    [
      'a program that cites the root and the newest alone',
      `A  inbox  carla > ann  Plan                     = from_contact A 1
       B  sent   ann > carla  Re: Plan  refs a         = thread_member B 1
       C  inbox  carla > ann  Re: Plan  refs a zz      = thread_member C 1
       D  inbox  stan > ann   Re: Plan  reply zz       = no_match`,
    ],
  ],
  'S3: ids that are only cited': [
    [
      'what it answers was never seen, and what that answered is stored',
      `A  inbox  carla > ann  Plan                       = from_contact A 1
       C  inbox  carla > ann  Re: Plan  refs a b         = thread_member C 1
       D  inbox  stan > ann  Re: Plan  reply b  refs a b = thread_member D 1`,
    ],
    [
      'two answers to a mail that was never seen, of the same people',
      `B  inbox  carla > ann cc stan  Re: Plan  reply a  = from_contact B 1
       C  inbox  stan > ann  Re: Plan  reply a           = thread_member C 1`,
    ],
    [
      'the mail that was cited comes at last, a stranger’s',
      `B  inbox  carla > ann  Re: Plan  reply a          = from_contact B 1
       C  inbox  stan > ann  Re: Plan  reply a           = no_match
       A  inbox  stan > ann  Plan                        = thread_member A 1
       D  inbox  stan > ann  Re: Plan  reply a           = thread_member D 1`,
    ],
    [
      'the mail that was cited comes at last, into two mailboxes',
      `B   inbox      carla > ann, bob  Re: Plan  reply a  = from_contact B 1
       B2  bob:inbox  copy B                               = from_contact B 1
       A   inbox      stan > ann, bob  Plan                = thread_member A 1
       A2  bob:inbox  copy A                               = thread_member A 1`,
    ],
    [
      'a root that a program puts under every mail joins nobody’s to another’s',
      `A  inbox  carla > ann  Plan  refs root            = from_contact A 1
       B  inbox  cyril > ann  Offer  refs root           = from_contact B 2
       C  inbox  doctor > ann  Findings  refs root       = no_match
       D  inbox  carla > ann  Re: Plan  refs root        = thread_member D 1
       E  inbox  cyril > ann  Re: Offer  refs root       = thread_member E 2`,
    ],
    [
      'a colleague on both is no common acquaintance',
      `A  inbox  carla > ann cc bob  Re: Internal  refs root  = from_contact A 1
       B  inbox  lawyer > ann cc bob  Re: Internal  refs root = no_match`,
    ],
    [
      'a colleague on both is enough for who answers a stored mail',
      `A  inbox  carla > ann cc bob  Plan          = from_contact A 1
       B  inbox  stan > bob  Re: Plan  reply a     = thread_member B 1
       C  inbox  doctor > lawyer  Re: Plan  reply a  = no_match`,
    ],
    [
      'two mails that cite each other',
      `A  inbox  carla > ann  Plan  reply b              = from_contact A 1
       B  inbox  stan > ann  Plan  reply a               = thread_member B 1`,
    ],
  ],
  'S3: who must be on both': [
    [
      'a stranger who answers a stored mail, with the owner alone in common',
      `A  inbox  carla > ann  Plan                       = from_contact A 1
       B  inbox  stan > ann  Re: Plan  reply a           = thread_member B 1`,
    ],
    [
      'nobody in common: a mail that reached the owner unseen',
      `A  inbox  carla > ann  Plan                       = from_contact A 1
       B  inbox  stan > lawyer  Re: Plan  reply a        = no_match`,
    ],
    [
      'the contact answers from another address, known or not',
      `A  sent   ann > carla  Plan                       = to_contact A 1
       B  inbox  carla-home > ann  Re: Plan  reply a     = thread_member B 1
       C  inbox  carla-new > ann  Re: Plan  reply a      = thread_member C 1
       D  inbox  carla-new > ann  Plan                   = no_match
       E  inbox  carla-home > ann  Plan                  = from_contact E 2`,
    ],
    [
      'the contact, by any address of theirs, where both cite an older mail alone',
      `A  inbox  carla > ann  Re: Plan  reply zz         = from_contact A 1
       B  inbox  carla-home > ann  Re: Plan  reply zz    = thread_member B 1
       C  sent   ann > carla-home  Re: Plan  reply zz    = thread_member C 1
       D  inbox  cyril > ann  Re: Plan  reply zz         = from_contact D 2`,
    ],
    [
      'an assistant answers for the contact, and is answered',
      `A  sent   ann > carla  Plan                       = to_contact A 1
       B  inbox  stan > ann cc carla  Re: Plan  refs a   = thread_member B 1
       C  sent   ann > stan  Re: Plan  refs a b          = thread_member C 1
       D  inbox  stan > ann  Re: Plan  reply c           = thread_member D 1`,
    ],
  ],
  'S3: subjects': [
    [
      'the same subject alone never joins',
      `A  inbox  carla > ann cc stan  Plan               = from_contact A 1
       B  inbox  stan > ann  Re: Plan                    = no_match
       C  inbox  carla > ann  Re: Plan                   = from_contact C 2`,
    ],
    [
      'an edited subject does not part',
      `A  inbox  carla > ann  Plan                       = from_contact A 1
       B  inbox  carla > ann  Lunch? (was: Plan)  refs a = thread_member B 1
       C  sent   ann > carla  -  refs a b                = thread_member C 1
       D  inbox  stan > ann  AW: [sales] Lunch  reply c  = thread_member D 1`,
    ],
  ],
  'S3: a forward opens its own thread': [
    [
      'to a stranger it stays private, and so does what comes back',
      `A  inbox  carla > ann  Plan                       = from_contact A 1
       B  sent   ann > lawyer  WG: Plan  refs a          = no_match
       C  inbox  lawyer > ann  AW: WG: Plan  refs a b    = no_match
       D  inbox  carla > ann  Re: Plan  reply a          = thread_member D 1`,
    ],
    [
      'to a contact: its answers are in its thread, those to what was forwarded in theirs',
      `A  inbox  carla > ann  Plan                       = from_contact A 1
       B  sent   ann > cyril  Fwd: Plan  refs a          = to_contact B 2
       C  inbox  cyril > ann  Re: Fwd: Plan  refs a b    = thread_member C 2
       D  inbox  carla > ann  Re: Plan  refs a           = thread_member D 1
       E  inbox  cyril > ann  Re: Plan  refs a b c       = thread_member E 2`,
    ],
    [
      'a private mail that was forwarded to a contact stays private, when it comes late',
      `B  sent   ann > cyril  Fwd: Findings  refs a      = to_contact B 1
       A  inbox  doctor > ann  Findings                  = no_match`,
    ],
    [
      'a private mail that was forwarded to a contact stays private, when the contact has answered',
      `B  sent   ann > cyril  Fwd: Findings  refs a      = to_contact B 1
       C  inbox  cyril > ann  Re: Fwd: Findings  refs a b = thread_member C 1
       A  inbox  doctor > ann  Findings                  = no_match`,
    ],
    [
      'Gmail counts it to what was forwarded: that stays private',
      `A  all  doctor > ann  Findings  gm 1              = no_match
       B  sent  ann > cyril  Fwd: Findings  refs a  gm 1 = to_contact B 1
       C  all  doctor > ann  Re: Findings  reply z  gm 1 = no_match`,
    ],
    [
      'a forward of a forward whose marks are not counted up: what was forwarded stays private',
      `A  all  doctor > ann  Fwd: Findings  gm 1         = no_match
       B  sent  ann > cyril  Fwd: Findings  refs a  gm 1 = to_contact B 1
       C  all  doctor > ann  Re: Fwd: Findings  refs a  gm 1 = no_match
       D  inbox  cyril > ann  Re: Fwd: Findings  reply b = thread_member D 1`,
    ],
    [
      'the answer to a forward comes first',
      `C  inbox  cyril > ann  Re: Fwd: Plan  refs a b    = from_contact C 1
       B  sent   ann > cyril  Fwd: Plan  refs a          = thread_member B 1
       A  inbox  carla > ann  Plan                       = from_contact A 2`,
    ],
    [
      'what was forwarded comes last',
      `B  sent   ann > cyril  Fwd: Plan  refs a          = to_contact B 1
       A  inbox  carla > ann cc cyril  Plan              = from_contact A 2
       C  inbox  cyril > ann  Re: Fwd: Plan  refs a b    = thread_member C 1
       D  inbox  carla > ann  Re: Plan  reply a          = thread_member D 2`,
    ],
  ],
  'S3, S11: a From that a mailing list rewrote': [
    [
      'opens no thread, and is the contact’s in one that is live',
      `A  inbox  carla > list cc ann  Plan               = from_contact A 1
       B  inbox  "Carla via Sales" list > list cc ann  Re: Plan  refs a  Reply-To: carla@customer.example  List-Id: <sales.list.example> = thread_member B 1
       C  inbox  "Carla via Sales" list > list  News  Reply-To: carla@customer.example  List-Id: <sales.list.example> = automatic`,
    ],
    [
      'the list’s copy and the direct one are one message',
      `A   inbox    carla > list cc ann  Plan              = from_contact A 1
       A2  archive  copy A  from "Carla via Sales" list  X-Original-From: Carla <carla@customer.example>  List-Post: <mailto:sales@list.example> = duplicate A 1`,
    ],
    [
      'without the list’s own headers, From is who wrote it',
      `A  inbox  "Carla via Shop" shop > ann  Plan  Reply-To: carla@customer.example = no_match`,
    ],
  ],
};

const outcomes = (lines: readonly Line[]) => lines.map(({ letter, expected }) => `${letter} = ${expected}`);

// On one database: what is asked of both alike is held by the tests beside this one, and the embedded
// one takes five times as long.
describe('identity and threads', () => {
  let database: TestDatabase;
  let world: World;

  before(async () => {
    database = await testDatabase('postgres');
    world = await createWorld(database.db);
  });
  after(() => database.drop());

  for (const [rule, cases] of Object.entries(tables)) {
    describe(rule, () => {
      for (const [what, table] of cases) {
        test(what, async () => {
          const lines = parseTable(table);
          const apart = await createOffice(world);
          assert.deepEqual(await apart.file(lines.map((line) => [line])), outcomes(lines), 'one by one');
          const office = await createOffice(world);
          assert.deepEqual(await office.file(batchesOf(lines)), outcomes(lines), 'in batches');
          await office.renumber();
          const stored = lines.filter(({ expected }) => expected.includes(' '));
          const again = stored.map(
            ({ letter, expected }) => `${letter} = ${expected.replace(/\w+/, 'duplicate')}`,
          );
          assert.deepEqual(
            await office.file(batchesOf(stored)),
            again,
            'once more, in folders numbered anew',
          );
        });
      }
    });
  }
});
