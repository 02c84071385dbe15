/** Lets work in when it is its turn. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>;

/** What is done while a turn is waited for. */
type Meanwhile = {
  /** Resolves when there may be something to do, or it was woken. What it has to do in a turn it does in this one. */
  step(gate: Gate): Promise<void>;
  wake(): void;
};

/**
 * Does work when the gate lets it in, and `meanwhile.step` again and again until then: others may be at theirs for
 * minutes. The work begins when the step that is under way has ended; where that fails, the turn is given back. If the
 * step waited for a turn of its own, behind those who wait for their steps, all of them could wait for ever.
 */
export async function inTurn<T>(gate: Gate, meanwhile: Meanwhile, work: () => Promise<T>): Promise<T> {
  const come = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<void>();
  // Heard of where they are waited for; it may be nowhere.
  for (const { promise } of [come, ready]) promise.catch(() => undefined);
  const turn = { hasCome: false };
  const end = () => {
    turn.hasCome = true;
    meanwhile.wake();
  };
  const done = gate(async () => {
    end();
    come.resolve();
    await ready.promise;
    return work();
  });
  done.catch((error: unknown) => {
    end();
    come.reject(error);
  });
  const inThis: Gate = async (part) => {
    await come.promise;
    return part();
  };
  try {
    while (!turn.hasCome) await meanwhile.step(inThis);
  } catch (error) {
    ready.reject(error);
    throw error;
  }
  ready.resolve();
  return done;
}
