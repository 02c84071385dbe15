import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { becauseEnglish, becauseOf } from '../../src/filing/because.ts';
import type { Because } from '../../src/filing/because.ts';

/** What the API and explain have said since these were sentences. */
const cases: [because: Because | null, english: string][] = [
  [null, 'does not apply'],
  [{ say: 'draft' }, 'it is a draft'],
  [{ say: 'in_folder', role: { say: 'role_trash' } }, 'it is in the folder for trash'],
  [{ say: 'author_is_contact', contact: 'rita' }, 'its author is contact rita'],
  [
    {
      say: 'known_too_large',
      first: { say: 'same_by', message: 'msg_1', key: { say: 'key_fingerprint' } },
    },
    "the mailbox's msg_1 is the same message by its fingerprint, and too large",
  ],
  [
    {
      say: 'not_believed',
      kind: { say: 'kind_read_receipt' },
      message: 'msg_1',
      doubt: { say: 'doubt_recipient' },
    },
    'a read_receipt on msg_1 that is not believed: it names nobody to whom the mail went',
  ],
  [
    { say: 'unlinked', thread: 'thr_1', reason: { say: 'unlinked_unknown' } },
    'thr_1 was unlinked: no reason kept',
  ],
  [
    { say: 'same_message', first: { say: 'reviewed', first: { say: 'user_sent' } }, message: 'msg_1' },
    'the user sent it, as a person who reviewed it says; msg_1 is the same message',
  ],
  [{ say: 'too_many_outside', count: '21', most: '20' }, 'it went to 21 people outside, more than 20'],
  [
    { say: 'sent_unsynced', kind: { say: 'mail_bulk' }, way: { say: 'way_provider' } },
    "the CRM sent it as bulk mail through the sub-account's provider: it syncs with no mailbox",
  ],
  [{ say: 'sent_through', way: 'mbx_1' }, 'the CRM sent it through mbx_1'],
];

describe('T1: why a rule answers as it does, in English', () => {
  for (const [because, english] of cases) test(english, () => assert.equal(becauseOf(because), english));

  test('every word is somebody’s', () => {
    const folders = ['filing', 'intake'].map((name) => new URL(`../../src/${name}/`, import.meta.url));
    const sources = folders
      .flatMap((folder) => readdirSync(folder).map((file) => new URL(file, folder)))
      .filter(({ pathname }) => !pathname.endsWith('/because.ts'))
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    // What has several forms is put together: `role_${…}`.
    const isSaid = (word: string) =>
      sources.includes(`'${word}'`) ||
      [...sources.matchAll(/`(\w+_)\$\{/g)].some(([, start = '']) => word.startsWith(start));
    assert.deepEqual(
      Object.keys(becauseEnglish).filter((word) => !isSaid(word)),
      [],
    );
  });
});
