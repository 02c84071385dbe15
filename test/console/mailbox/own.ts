import { run } from '../../../src/store/database.ts';
import { findConnection } from '../../../src/store/connections.ts';
import type { PublicConnection } from '../../../src/store/connections.ts';
import { createWorld } from '../../filing/world.ts';
import type { TestMailbox, World } from '../../filing/world.ts';
import { publicUrl, startPages } from '../pages.ts';
import type { Browser, PagesUnderTest, Shown } from '../pages.ts';

/** The pages of Ann, whose mailbox is connected in north; of her colleague Ben; and of Zoe, who is in south, too. */
export type OwnPages = {
  t: PagesUnderTest;
  world: World;
  mailbox: TestMailbox;
  bens: TestMailbox;
  ann: Browser;
  ben: Browser;
  zoe: Browser;
  connectionOf(userId: string): Promise<PublicConnection>;
  close(): Promise<void>;
};

export async function openOwnPages(options: Parameters<typeof startPages>[0] = {}): Promise<OwnPages> {
  const t = await startPages(options);
  const world = await createWorld(t.db);
  world.filing.secretBox = t.secretBox;
  for (const sub of ['north', 'south']) await world.addSubAccount(sub);
  await world.addUser('ann', 'ann@crm.example', ['north']);
  await world.addUser('ben', 'ben@crm.example', ['north']);
  await world.addUser('zoe', 'zoe@crm.example', ['north', 'south']);
  await world.addContact('north', 'carla', ['carla@customer.example']);
  const mailbox = await world.connect('ann@mail.example', [['north', 'ann']]);
  const bens = await world.connect('ben@mail.example', [['north', 'ben']]);
  const person = (userId: string) => t.person({ subAccountId: 'north', userId });
  return {
    t,
    world,
    mailbox,
    bens,
    ann: await person('ann'),
    ben: await person('ben'),
    zoe: await person('zoe'),
    connectionOf: async (userId) => {
      const found = await findConnection(t.db, { subAccountId: 'north', userId });
      if (found === null) throw new Error(`${userId} is not connected`);
      return found;
    },
    close: () => t.close(),
  };
}

/** A page of theirs. */
export function own(browser: Browser, path: string): Promise<Shown> {
  return browser.get(`${publicUrl}${path}`);
}

/** Puts a connection into a state, as its listener would. */
export async function setState(
  { t }: Pick<OwnPages, 't'>,
  id: string,
  values: { state: string; reason?: string | null; nextTryAt?: string | null },
): Promise<void> {
  await run(
    t.db,
    `update connections set state = :state, state_reason = :reason, next_try_at = :nextTryAt::timestamptz where id = :id`,
    { reason: null, nextTryAt: null, ...values, id },
  );
}
