import type { Gate } from './looking.ts';

/** What is done while a turn is waited for. */
type Meanwhile = {
  /** Resolves when there may be something to do, or it was woken. */
  step(): Promise<void>;
  wake(): void;
};

/**
 * Does work when the gate lets it in, and `meanwhile.step` again and again until then: others may be at theirs for
 * minutes. The work begins when the step that is under way has ended; where that fails, the turn is given back.
 */
export async function inTurn<T>(gate: Gate, meanwhile: Meanwhile, work: () => Promise<T>): Promise<T> {
  const ready = Promise.withResolvers<void>();
  // Heard of where the turn comes; it may never.
  ready.promise.catch(() => undefined);
  const turn = { hasCome: false };
  const end = () => {
    turn.hasCome = true;
    meanwhile.wake();
  };
  const done = gate(async () => {
    end();
    await ready.promise;
    return work();
  });
  done.catch(end);
  try {
    while (!turn.hasCome) await meanwhile.step();
  } catch (error) {
    ready.reject(error);
    throw error;
  }
  ready.resolve();
  return done;
}
