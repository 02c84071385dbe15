// npm run fuzz -- imap|smtp [--seed N --seeds K]: plays K seeds, from N on, against the listener of a mailbox or the door of
// the logging addresses, and says what is wrong with how they ended.
import { parseArgs } from 'node:util';
import { createScene } from '../mailbox/listening.ts';
import { testDatabase } from '../support/database.ts';
import { fuzzImap } from './imap.ts';
import { fuzzSmtp } from './smtp.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, seeds: { type: 'string', default: '1' } },
});
const [first, count] = [Number(values.seed), Number(values.seeds)];
const [what] = positionals;
if (what !== 'imap' && what !== 'smtp') throw new Error('fuzz what: imap or smtp?');

const fuzz = what === 'smtp' ? fuzzSmtp : await openImap();
for (let seed = first; seed < first + count; seed += 1) {
  const wrong = await fuzz(seed);
  if (wrong.length === 0) continue;
  console.log(`Seed ${seed} fails: npm run fuzz -- ${what} --seed ${seed}\n\n${wrong.join('\n')}`);
  process.exit(1);
}
console.log(`${count} seeds from ${first} on are as they should be.`);
process.exit(0);

async function openImap(): Promise<(seed: number) => Promise<string[]>> {
  const { db } = await testDatabase('pglite');
  const scene = await createScene(db);
  return (seed) => fuzzImap(scene, seed);
}
