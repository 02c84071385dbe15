// npm run sim [-- --seed N --steps M --histories K]: plays K random histories of M steps, from seed N on, and
// says what is wrong with how they ended; the first that fails is cut down to what it takes.
import { parseArgs } from 'node:util';
import { historyOf } from './history.ts';
import { historyDatabase, play } from './run.ts';
import { shrink } from './shrink.ts';
import type { History } from './steps.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '40' },
    histories: { type: 'string' },
  },
});
const [seed, steps] = [Number(values.seed), Number(values.steps)];
const histories = Number(values.histories ?? '1');

const database = await historyDatabase();
const startedAt = performance.now();
for (let n = 0; n < histories; n += 1) {
  const history = historyOf(seed + n, steps);
  const wrong = await play(database.db, history);
  if (wrong.length === 0) continue;
  console.log(
    `Seed ${seed + n} fails in ${steps} steps: npm run sim -- --seed ${seed + n} --steps ${steps}\n`,
  );
  const least = await shrink(history, async (part) => (await play(database.db, part)).length > 0);
  show(least, await play(database.db, least));
  process.exit(1);
}
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
console.log(
  `${histories} histories of ${steps} steps, from seed ${seed} on, are as they should be (${seconds} s).`,
);
process.exit(0);

function show(history: History, wrong: readonly string[]): void {
  console.log(JSON.stringify(history.cast, null, 1));
  for (const step of history.steps) console.log(JSON.stringify(step));
  console.log(`\n${wrong.join('\n')}`);
}
