import { createHash } from 'node:crypto';
import { failLogged, fileLogged } from '../../src/filing/file-logged.ts';
import type { LoggedDeps } from '../../src/filing/file-logged.ts';
import { newId } from '../../src/lib/id.ts';
import type { LoggingAddressId, SpoolId } from '../../src/lib/id.ts';
import { rows } from '../../src/store/database.ts';
import { addSpooled, readLoggedMail } from '../../src/store/spool.ts';
import type { Proof, Spooled } from '../../src/store/spool.ts';
import { claimWork } from '../../src/store/work.ts';
import { rawOf } from './world.ts';
import type { Letter, World } from './world.ts';

/** A mail to one or more logging addresses. */
export type ToLog = Letter & {
  raw?: Buffer;
  /** Whose logging addresses are in the envelope; default: Ann's in north. */
  of?: [sub: string, user: string][];
  tag?: string;
  /** One for each of `of`, where they differ. */
  tags?: string[];
  proof?: Proof['verdict'];
  /** MAIL FROM; default: ann@mail.example. */
  sender?: string;
  receivedAt?: number;
};

export type LoggingWorld = {
  /** Hands mails over as the door does, and files all that waits; answers `outcome reason` for each decision made. */
  log(...mails: ToLog[]): Promise<string[]>;
  /** The first half alone. */
  accept(...mails: ToLog[]): Promise<Spooled[]>;
  /** The second half alone. */
  fileAll(deps?: Partial<LoggedDeps>): Promise<string[]>;
  /** Accepts a mail that cannot be filed. */
  fail(mail: ToLog): Promise<void>;
  /** How often errands were woken. */
  woken(): number;
};

const owner = 'the test';

export function createLoggingWorld(world: World): LoggingWorld {
  const { db } = world;
  let woken = 0;
  const decisions = async () =>
    rows<{ line: string }>(
      db,
      `select outcome || ' ' || reason as line from decisions where intake_id is not null order by id`,
    );
  const accept = async (...mails: ToLog[]) => {
    const spooled = await Promise.all(
      mails.map(async (mail): Promise<Spooled> => {
        const raw = mail.raw ?? rawOf(mail);
        await world.blobs.put([raw]);
        return {
          id: newId('spl') satisfies SpoolId,
          receivedAt: mail.receivedAt ?? Date.now(),
          envelope: {
            from: mail.sender ?? 'ann@mail.example',
            to: await addressesOf(world, mail),
            helo: 'mx.mail.example',
            clientAddress: '192.0.2.1',
            tls: true,
          },
          proof: proofOf(mail.proof ?? 'proven'),
          sha256: createHash('sha256').update(raw).digest('hex'),
          size: raw.length,
        };
      }),
    );
    await addSpooled(db, spooled);
    return spooled;
  };
  const fileAll = async (deps: Partial<LoggedDeps> = {}) => {
    const before = (await decisions()).length;
    const ids = await claimWork(db, { table: 'intake_spool', owner, leaseMs: 60_000, limit: 500 });
    const mails = await readLoggedMail(db, ids);
    const all = { ...world.filing, wakeErrands: () => void (woken += 1), ...deps };
    for (const of of Map.groupBy(mails, ({ subAccountId, userId }) => `${subAccountId} ${userId}`).values())
      await fileLogged(all, owner, of);
    return (await decisions()).slice(before).map(({ line }) => line);
  };
  return {
    accept,
    fileAll,
    log: async (...mails) => {
      await accept(...mails);
      return fileAll();
    },
    fail: async (mail) => {
      await accept(mail);
      const ids = await claimWork(db, { table: 'intake_spool', owner, leaseMs: 60_000, limit: 500 });
      for (const each of await readLoggedMail(db, ids)) await failLogged({ db }, owner, each);
    },
    woken: () => woken,
  };
}

async function addressesOf({ db }: World, { of = [['north', 'ann']], tag: same = '', tags = [] }: ToLog) {
  return Promise.all(
    of.map(async ([sub, user], n) => {
      const tag = tags[n] ?? same;
      const [found] = await rows<{ id: LoggingAddressId; local: string }>(
        db,
        `select id, local_part as local from logging_addresses
          where sub_account_id = :sub and user_id = :user and expires_at is null`,
        { sub, user },
      );
      if (found === undefined) throw new Error(`${user} has no logging address in ${sub}`);
      const address = `${found.local}${tag === '' ? '' : `+${tag}`}@log.crm.example`;
      return { address, loggingAddressId: found.id, tag };
    }),
  );
}

function proofOf(verdict: Proof['verdict']): Proof {
  const isProven = verdict === 'proven';
  return {
    verdict,
    domain: 'mail.example',
    by: isProven ? 'spf' : null,
    spf: isProven ? 'pass' : 'none',
    dkim: isProven ? null : 'none',
    dmarcPolicy: verdict === 'failed' ? 'reject' : 'none',
    arc: null,
  };
}
