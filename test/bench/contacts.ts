import type { Bench } from './bench.ts';
import { runsMax } from './bench.ts';
import { figureOf, ratios, shown } from './figures.ts';
import { lookThrough } from './look.ts';
import { fillInbox, privateMail } from './mail.ts';
import type { Row } from './table.ts';

const messagesMax = 5_000;
const user = 'contacts@bench.test';
const [few, ...more] = [1_000, 100_000, 1_000_000] as const;

/** Headers judged a second with ever more contacts, against the same with a thousand. */
export async function measureContacts(bench: Bench): Promise<Row[]> {
  await fillInbox(bench.servers, user, privateMail(messagesMax));
  const judged = async (contacts: number) => {
    const { rate, database } = await lookThrough(bench, user, messagesMax, { contacts });
    await database.drop();
    return rate;
  };
  for (const contacts of [few, ...more]) await judged(contacts);
  const rates = new Map<number, number[]>([few, ...more].map((contacts) => [contacts, []]));
  for (let run = 0; run < runsMax; run += 1) {
    for (const [contacts, found] of rates) found.push(await judged(contacts));
  }
  const base = rates.get(few) ?? [];
  const load = bench.load();
  return more.map((contacts): Row => {
    const ours = rates.get(contacts) ?? [];
    return {
      what: `headers judged a second with ${contacts} contacts; raw: with ${few}`,
      raw: shown(figureOf(base)),
      ours: shown(figureOf(ours)),
      ratio: ratios(ours, base),
      aim: 'ratio ≥ 0.67',
      sample: `${runsMax} × ${messagesMax}`,
      load,
    };
  });
}
