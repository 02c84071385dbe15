import { createSecretBox } from '../../src/lib/secret-box.ts';
import type { BlobStore } from '../../src/store/blobs.ts';
import type { Db } from '../../src/store/database.ts';

export const secretBox = createSecretBox([Buffer.alloc(32, 7)]);

/** The process ends here. */
export class Crash extends Error {}

/** A process of the gateway, as far as it can die: everything that leaves it goes through here. */
export type Process = {
  db: Db;
  blobs: BlobStore;
  /** Says that something is about to leave the process; throws when it is dead by then. */
  effect(): void;
  /** Dies before that many effects from now; null: not at all. */
  dieAfter(effects: number | null): void;
  die(): void;
  isDead(): boolean;
  /** Statements and blobs that are under way. */
  busy(): number;
};

/** What a process did, for the model. */
export type Watcher = {
  /** It has looked up what the database knows of a batch of a mailbox. */
  onFacts(mailboxId: string): void;
  /** It has committed decisions; `rows` as they were written. */
  onDecided(rows: readonly DecidedRow[]): void;
};

export type DecidedRow = {
  connection_id: string;
  sub_account_id: string;
  mailbox_id: string;
  folder_id: string | null;
  uid_validity: number | null;
  uid: number | null;
  errand_id: string | null;
  outcome: string;
  reason: string;
};

/** Decisions as decision-writes.ts binds them. */
function decidedIn(bindings: Record<string, unknown>): DecidedRow[] {
  const origins = JSON.parse(String(bindings['origins'])) as Partial<DecidedRow>[];
  const decisions = JSON.parse(String(bindings['decisions'])) as (DecidedRow & { origin: number })[];
  return decisions.map(({ origin, ...own }) => ({ ...own, ...origins[origin - 1] }));
}

/** `altered` breaks statements on purpose. */
export function startProcess(
  sound: { db: Db; blobs: BlobStore },
  watcher: Watcher,
  altered: (sql: string) => string = (sql) => sql,
): Process {
  let left: number | null = null;
  let dead = false;
  let busy = 0;
  const effect = () => {
    if (left !== null) left -= 1;
    if (left !== null && left < 0) dead = true;
    if (dead) throw new Crash('killed');
  };
  const underWay = <T>(work: Promise<T>): Promise<T> => {
    busy += 1;
    return work.finally(() => (busy -= 1));
  };
  const fragile = (db: Db, decided: DecidedRow[] | null): Db =>
    new Proxy(db, {
      get(target, name, receiver) {
        if (name === 'raw') {
          return (sql: string, bindings: Record<string, unknown> = {}) => {
            effect();
            if (sql.includes('as "neverLog"')) watcher.onFacts(String(bindings['mailboxId']));
            if (sql.includes('insert into decisions')) {
              decided?.push(...decidedIn(bindings));
            }
            const words = altered(sql);
            const statement = target.raw(words, bindings as Parameters<Db['raw']>[1]);
            // A statement is prepared under a name that belongs to its words.
            if (words !== sql) void Object.assign(statement, { options: () => statement });
            return counted(statement, underWay);
          };
        }
        if (name === 'transaction') {
          return (work: (tx: Db) => Promise<unknown>, config?: object) =>
            underWay(
              (async () => {
                const rows: DecidedRow[] = [];
                const done = await target.transaction((tx) => work(fragile(tx as Db, rows)), config);
                if (rows.length > 0) watcher.onDecided(rows);
                effect(); // Committed, and who asked for it never hears of that.
                return done;
              })(),
            );
        }
        return Reflect.get(target, name, receiver) as unknown;
      },
    });
  const { blobs } = sound;
  return {
    db: fragile(sound.db, null),
    blobs: {
      ...blobs,
      put: async (contents, names) => {
        effect();
        const put = await blobs.put(contents, names);
        effect();
        return put;
      },
    },
    effect,
    dieAfter: (effects) => void (left = effects),
    die: () => void (dead = true),
    isDead: () => dead,
    busy: () => busy,
  };
}

/** A statement that counts as under way from when it is awaited until it has an answer. */
function counted<T extends object>(statement: T, underWay: <R>(work: Promise<R>) => Promise<R>): T {
  return new Proxy(statement, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== 'function') return value;
      if (name === 'then') {
        return (...handlers: Parameters<Promise<unknown>['then']>) =>
          underWay(Promise.resolve(target)).then(...handlers);
      }
      return (...words: unknown[]) => {
        const result = (value as (...given: unknown[]) => unknown).apply(target, words);
        return result === target ? counted(target, underWay) : result;
      };
    },
  });
}
