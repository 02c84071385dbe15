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
 * have done nothing.
 */
export function createBatcher<Item, Result>(options: {
  /** Items of one batch, at most. */
  most: number;
  run(items: readonly Item[]): Promise<readonly Result[]>;
}): (item: Item) => Promise<Result> {
  const { most, run } = options;
  const waiting: Waiting<Item, Result>[] = [];
  let isRunning = false;

  const runBatch = async (batch: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await run(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, n) => resolve(results[n] as Result));
    } catch (error) {
      const [first] = batch;
      if (batch.length > 1) for (const each of batch) await runBatch([each]);
      else first?.reject(error);
    }
  };
  const work = async (): Promise<void> => {
    isRunning = true;
    while (waiting.length > 0) await runBatch(waiting.splice(0, most));
    isRunning = false;
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      // In the next turn: what is asked for in this one comes along.
      if (!isRunning) {
        isRunning = true;
        setImmediate(() => void work());
      }
    });
}
