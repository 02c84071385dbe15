import type { Clock } from '../lib/clock.ts';

const clientsMax = 10_000;

/** Sessions of each client, and the unknown recipients that they named of late. */
export function createClients(options: {
  clock: Clock;
  sessionsMax: number;
  guessesMax: number;
  guessesMs: number;
}) {
  const { clock } = options;
  const sessions = new Map<string, number>();
  const guesses = new Map<string, { count: number; since: number }>();

  const current = (client: string) => {
    const found = guesses.get(client);
    return found !== undefined && clock.monotonic() - found.since < options.guessesMs ? found : undefined;
  };

  return {
    /** Counts one more session; false when it has as many as it may. */
    enter(client: string): boolean {
      const count = sessions.get(client) ?? 0;
      if (count >= options.sessionsMax) return false;
      sessions.set(client, count + 1);
      return true;
    },
    leave(client: string): void {
      const count = sessions.get(client) ?? 0;
      if (count > 1) sessions.set(client, count - 1);
      else sessions.delete(client);
    },
    guessed(client: string): void {
      const found = current(client) ?? { count: 0, since: clock.monotonic() };
      found.count += 1;
      guesses.delete(client);
      guesses.set(client, found);
      const [oldest] = guesses.keys();
      if (guesses.size > clientsMax && oldest !== undefined) guesses.delete(oldest);
    },
    /** Whether it named so many that it is guessing. */
    isGuessing: (client: string): boolean => (current(client)?.count ?? 0) >= options.guessesMax,
  };
}
