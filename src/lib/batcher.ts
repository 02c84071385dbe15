/** An item that waits for its batch. */
type Waiting<Item, Result> = {
  item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
};

/**
 * Joins what is asked for at the same time: while one batch is under way the next one gathers, so that a single
 * item waits for nobody, and a crowd pays for one round trip. `run` answers in the order of its items. A batch that
 * fails is taken apart, and each item run by itself, so that one of them is in nobody's way: a failed `run` must
 * have done nothing. Where `isOfAll` says that the error is of none of them, each is told it at once.
 */
export function createBatcher<Item, Result>(options: {
  /** Items of one batch, at most. */
  most: number;
  /** The next batch goes beside one that is under way for `lateMs`, as one that waits for a lock is; left out: never. */
  overtaking?: { lateMs: number; atOnce: number };
  run(items: readonly Item[]): Promise<readonly Result[]>;
  /** Whether each item by itself would fail as well, as where nobody can be asked; left out: never. */
  isOfAll?(error: unknown): boolean;
  /** After a batch: as long as this takes the next one gathers, where nobody waits for its items. */
  rest?(): Promise<void>;
}): (item: Item) => Promise<Result> {
  const { most, overtaking, run, isOfAll = () => false, rest } = options;
  const waiting: Waiting<Item, Result>[] = [];
  let isStarting = false;
  let running = 0;
  /** Of those that run, for which the next batch waits. */
  let waitedFor = 0;
  /** In each of these the next batch gathers: none overtakes it. */
  let rests = 0;

  const runBatch = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await run(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, n) => resolve(results[n] as Result));
    } catch (error) {
      if (batch.length === 1 || isOfAll(error)) batch.forEach(({ reject }) => reject(error));
      else for (const each of batch) await runBatch([each]);
    }
  };
  const runInTime = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    waitedFor += 1;
    let isLate = false;
    const overtake = (): void => {
      isLate = true;
      waitedFor -= 1;
      start();
    };
    const late = overtaking === undefined ? undefined : setTimeout(overtake, overtaking.lateMs);
    await runBatch(batch);
    clearTimeout(late);
    if (!isLate) waitedFor -= 1;
  };
  const gather = async (): Promise<void> => {
    rests += 1;
    await rest?.();
    rests -= 1;
  };
  const next = () => (waitedFor > 0 ? [] : waiting.splice(0, most));
  const work = async (): Promise<void> => {
    isStarting = false;
    running += 1;
    for (let batch = next(); batch.length > 0; batch = next()) {
      await runInTime(batch);
      if (waiting.length < most) await gather();
    }
    running -= 1;
  };
  const start = (): void => {
    if (isStarting || waiting.length === 0 || waitedFor + rests > 0 || running >= (overtaking?.atOnce ?? 1))
      return;
    isStarting = true;
    // In the next turn: what is asked for in this one comes along.
    setImmediate(() => void work());
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      start();
    });
}
