import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import { newId } from '../../src/lib/id.ts';
import type { Session } from '../../src/mailbox/session.ts';
import { createWalker } from '../../src/mailbox/walker.ts';
import type { Walked } from '../../src/mailbox/walker.ts';
import { resolveProvider } from '../../src/provider/providers.ts';
import type { FilingDeps } from '../../src/filing/file.ts';
import { silentLog } from '../filing/world.ts';

/** A server with these folders; one without a UIDVALIDITY is refused. */
function sessionOf(folders: Record<string, number | null>): { session: Session; opened: string[] } {
  const opened: string[] = [];
  const session: Pick<Session, 'gmail' | 'open' | 'find'> = {
    gmail: false,
    open: (path) => {
      opened.push(path);
      const uidValidity = folders[path] ?? null;
      return uidValidity === null
        ? Promise.reject(new Failure('temporary', 'command_refused', 'NO'))
        : Promise.resolve({ uidValidity, uidNext: 10, isChanged: false });
    },
    find: () => Promise.resolve([3, 5, 9]),
  };
  return { session: session as Session, opened };
}

const saved = (path: string, role: Walked['role'], more: Partial<Walked> = {}): Walked => ({
  id: newId('fld'),
  path,
  role,
  uidValidity: 1,
  cursorUid: 5,
  highestModseq: null,
  missing: false,
  ...more,
});

function walkerOf(session: Session, folders: readonly Walked[], leavesOut = false) {
  const filing = {} as FilingDeps;
  const of = {
    filing,
    log: silentLog,
    session,
    mailboxId: newId('mbx'),
    provider: resolveProvider('imap'),
    leavesOut,
  };
  return createWalker(of, folders);
}

describe('walking through a mailbox beside its listener', () => {
  test('S14: only watched folders that are there and were looked into, Sent first', () => {
    const folders = [
      saved('INBOX', 'inbox'),
      saved('Clients', 'other'),
      saved('Trash', 'trash'),
      saved('Junk', 'spam'),
      saved('Drafts', 'drafts'),
      saved('Sent', 'sent'),
      saved('Gone', 'other', { missing: true }),
      { ...saved('New', 'other'), uidValidity: null },
    ];
    const walker = walkerOf(sessionOf({}).session, folders as Walked[]);
    assert.deepEqual(
      walker.folders.map(({ path }) => path),
      ['Sent', 'INBOX', 'Clients'],
    );
  });

  test('what the cursor has not passed is the listener’s', async () => {
    const inbox = saved('INBOX', 'inbox');
    const { session, opened } = sessionOf({ INBOX: 1 });
    const walker = walkerOf(session, [inbox]);
    assert.deepEqual(await walker.find(inbox, {}), [3, 5]);
    assert.deepEqual(await walker.find(inbox, {}), [3, 5]);
    assert.deepEqual(opened, ['INBOX'], 'it stays open');
  });

  for (const [what, uidValidity, code] of [
    ['refused', null, 'folder_unreadable'],
    ['numbered anew', 2, 'folder_renumbered'],
  ] as const) {
    test(`C5, C8, T2: a folder that is ${what} is not taken for an empty one`, async () => {
      const inbox = saved('INBOX', 'inbox');
      const walker = walkerOf(sessionOf({ INBOX: uidValidity }).session, [inbox]);
      const is = (error: unknown) =>
        error instanceof Failure && error.code === code && error.kind === 'temporary';
      await assert.rejects(walker.find(inbox, {}), is);
      await assert.rejects(walker.look(inbox, [3]), is);
      await assert.rejects(walker.outlines(inbox, [3]), is);
      assert.equal(walker.leftOut(), false);
    });
  }

  test('one that is refused again and again is left out, and that is said; one that is numbered anew never is', async () => {
    const [bad, good, anew] = [saved('Bad', 'other'), saved('INBOX', 'inbox'), saved('Anew', 'other')];
    const walker = walkerOf(sessionOf({ INBOX: 1, Anew: 2 }).session, [bad, good, anew], true);
    assert.deepEqual(await walker.find(good, {}), [3, 5]);
    assert.equal(walker.leftOut(), false);
    assert.deepEqual(await walker.find(bad, {}), []);
    assert.equal(walker.leftOut(), true);
    await assert.rejects(walker.find(anew, {}), /numbered anew/);
  });
});
