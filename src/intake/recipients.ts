import type { Clock } from '../lib/clock.ts';
import type { LoggingAddressId } from '../lib/id.ts';
import { domainOf } from '../message/addresses.ts';

/** A logging address that is in force. */
export type KnownAddress = {
  id: LoggingAddressId;
  subAccountId: string;
  userId: string;
  /** Of its user, in the form of `canonicalOwnAddress`. */
  ownAddresses: ReadonlySet<string>;
};

/** Which of these local parts (in lower case, without `+tag`) are known; the others are absent. Rejects when nobody can tell. */
export type LookUp = (locals: readonly string[]) => Promise<Map<string, KnownAddress>>;

/** The local part of a recipient at the logging domain, in lower case, and its tag as written; null for every other. */
export function readRecipient(address: string, domain: string | null): { local: string; tag: string } | null {
  const at = address.lastIndexOf('@');
  if (domain === null || at < 1 || domainOf(address) !== domain) return null;
  const [local = '', ...tag] = address.slice(0, at).split('+');
  return { local: local.toLowerCase(), tag: tag.join('+') };
}

const rememberedMs = 10_000;
const rememberedMax = 10_000;

/** Made once: the reason that Node makes for each abort is dear. */
const isOver = new Error('the database has answered');

type Waiting = { resolve(known: KnownAddress | null): void; reject(error: unknown): void };

/**
 * Asks for whole crowds of recipients at once, and remembers for some seconds what was answered, known or not alike:
 * how long it takes says nothing of an address. `find` and `findAgain` reject when nobody could tell within `msMax`.
 */
export function createRecipients(options: { lookUp: LookUp; clock: Clock; msMax: number }) {
  const { clock } = options;
  const remembered = new Map<string, { known: KnownAddress | null; until: number }>();
  let waiting = new Map<string, Waiting[]>();
  let isAsking = false;

  const ask = async (locals: readonly string[]): Promise<Map<string, KnownAddress>> => {
    const done = new AbortController();
    const late = clock.sleep(options.msMax, done.signal).then(() => {
      throw new Error('the database took too long to look recipients up');
    });
    try {
      return await Promise.race([options.lookUp(locals), late]);
    } finally {
      done.abort(isOver);
    }
  };

  const askAll = async (): Promise<void> => {
    while (waiting.size > 0) {
      const asked = waiting;
      waiting = new Map();
      try {
        const found = await ask([...asked.keys()]);
        for (const [local, people] of asked) {
          const known = found.get(local) ?? null;
          remember(local, known);
          for (const one of people) one.resolve(known);
        }
      } catch (error) {
        for (const one of [...asked.values()].flat()) one.reject(error);
      }
    }
    isAsking = false;
  };

  const remember = (local: string, known: KnownAddress | null) => {
    remembered.delete(local);
    remembered.set(local, { known, until: clock.monotonic() + rememberedMs });
    const [oldest] = remembered.keys();
    if (remembered.size > rememberedMax && oldest !== undefined) remembered.delete(oldest);
  };

  const findAgain = (local: string): Promise<KnownAddress | null> =>
    new Promise((resolve, reject) => {
      const people = waiting.get(local) ?? [];
      people.push({ resolve, reject });
      waiting.set(local, people);
      if (isAsking) return;
      isAsking = true;
      // What other sessions say in this turn of the event loop goes along.
      setImmediate(() => void askAll());
    });

  return {
    /** At once where it is remembered. */
    find(local: string): KnownAddress | null | Promise<KnownAddress | null> {
      const found = remembered.get(local);
      return found !== undefined && found.until > clock.monotonic() ? found.known : findAgain(local);
    },
    /** The same, whatever is remembered. */
    findAgain,
  };
}
