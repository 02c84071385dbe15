import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { callbackify } from 'node:util';
import ipaddr from 'ipaddr.js';
import { Agent, buildConnector } from 'undici';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { Failure, messageOf } from './failure.ts';
import { hostOf, isLiteral } from './networks.ts';

/** An address that a host name stands for. */
export type ResolvedAddress = { address: string; family: 4 | 6 };

/** Finds the addresses of a host name, best first. Rejects when there are none. */
export type Resolver = (host: string) => Promise<ResolvedAddress[]>;

/**
 * Keeps what strangers may name (webhook targets, hosts of mailboxes) away from private networks:
 * the gateway must not be a way to its own database, to a cloud's metadata service or to a router's
 * page. What counts is the address that is connected to, so a name is resolved once, its addresses
 * are checked, and the connection goes to one of those and to no other: a second look-up could say
 * something else (DNS rebinding).
 */
export type NetGuard = {
  /** An HTTP agent that connects to permitted addresses only. Redirects are the caller's: do not follow them. */
  agent(options: Omit<Agent.Options, 'connect'>): Agent;
  /**
   * The parsed URL of a webhook. Throws Failure `permanent`: `invalid_url`, or `private_address` where
   * the host itself tells. Where a name leads is known only when it is connected to.
   */
  assertUrl(url: string): URL;
  /**
   * The address to connect to in place of `host`. Throws Failure: `permanent` `private_address` or
   * `invalid_host`, `temporary` `unknown_host`.
   */
  resolve(host: string): Promise<ResolvedAddress>;
};

/** Time for a connection with TLS, ms. */
const connectTimeoutMs = 10_000;

/**
 * `allow` lists what is permitted though it is private: networks (`10.0.0.0/8`), addresses, and host
 * names, for a CRM in the same building. Throws at an entry that is none of them.
 */
export function createNetGuard(options: {
  allow: readonly string[];
  lookup?: Resolver;
  clock?: Clock;
}): NetGuard {
  const { clock = systemClock } = options;
  const permits = permission(options.allow);
  const find = inTime(once(fairly(options.lookup ?? lookupAll, clock)), clock);

  const resolveAll = async (given: string): Promise<ResolvedAddress[]> => {
    const host = hostOf(given);
    if (ipaddr.isValid(host)) {
      if (permits.address(host)) return [{ address: host, family: familyOf(host) }];
      throw privateAddress(given);
    }
    const found = await find(host).catch((error: unknown) => {
      throw new Failure('temporary', 'unknown_host', `${host} cannot be resolved: ${messageOf(error)}`);
    });
    const permitted = permits.name(host) ? found : found.filter(({ address }) => permits.address(address));
    if (permitted.length === 0) throw privateAddress(given);
    return permitted;
  };

  const resolveAllThen = callbackify(resolveAll);
  const guardedLookup: LookupFunction = (host, { all }, callback) => {
    resolveAllThen(host, (error, addresses) => {
      if (error !== null) callback(error, '');
      else if (all === true) callback(null, addresses);
      else callback(null, addresses[0]?.address ?? '', addresses[0]?.family);
    });
  };

  return {
    agent(agentOptions) {
      const connect = buildConnector({ lookup: guardedLookup, timeout: connectTimeoutMs, allowH2: false });
      return new Agent({
        ...agentOptions,
        // Node never calls the look-up for an address in literal form, so those are judged here.
        connect: (target, callback) => {
          const host = target.hostname;
          if (!isLiteral(host) || permits.address(hostOf(host))) connect(target, callback);
          else callback(privateAddress(host), null);
        },
      });
    },
    assertUrl(text) {
      const url = URL.parse(text);
      if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username || url.password) {
        throw new Failure('permanent', 'invalid_url', 'an http or https URL without a user is needed');
      }
      const host = hostOf(url.hostname);
      const local = host === 'localhost' || host.endsWith('.localhost');
      if (isLiteral(host) ? !permits.address(host) : local && !permits.local(host))
        throw privateAddress(host);
      return url;
    },
    async resolve(host) {
      const [address] = await resolveAll(host);
      if (address === undefined) throw privateAddress(host);
      return address;
    },
  };
}

function familyOf(address: string): 4 | 6 {
  return ipaddr.parse(address).kind() === 'ipv4' ? 4 : 6;
}

/** RFC 4291 §2.4 calls all the rest unicast too, for example ::7f00:1, which some systems take for 127.0.0.1. */
const globalUnicast = ipaddr.parseCIDR('2000::/3');

/** Whether an address is none that is private, local, mapped, translated or reserved. Throws at what is no address. */
export function isPublicAddress(text: string): boolean {
  const parsed = ipaddr.process(text);
  return parsed.range() === 'unicast' && (parsed.kind() === 'ipv4' || parsed.match(globalUnicast));
}

/** What may be connected to. */
function permission(allow: readonly string[]) {
  const networks: [ipaddr.IPv4 | ipaddr.IPv6, number][] = [];
  const names = new Set<string>();
  for (const entry of allow) {
    if (ipaddr.isValidCIDR(entry)) networks.push(ipaddr.parseCIDR(entry));
    else if (isLiteral(entry)) {
      const address = ipaddr.process(hostOf(entry));
      networks.push([address, address.kind() === 'ipv4' ? 32 : 128]);
    } else names.add(hostOf(entry));
  }
  const address = (text: string): boolean => {
    const parsed = ipaddr.process(text);
    return (
      isPublicAddress(text) ||
      networks.some(([network, bits]) => parsed.kind() === network.kind() && parsed.match(network, bits))
    );
  };
  return {
    address,
    name: (host: string): boolean => names.has(host),
    /** `localhost` is permitted by its name, or by where it always leads (RFC 6761 §6.3). */
    local: (host: string): boolean => names.has(host) || address('127.0.0.1') || address('::1'),
  };
}

function privateAddress(host: string): Failure {
  return new Failure('permanent', 'private_address', `${host} is in a private network that is not allowed`);
}

/** How long a look-up is waited for, ms. */
const lookupMsMax = 5_000;
/** A name server that is well answers within this time. */
const quickLookupMs = 1_000;
/** The system's resolver has four threads, which it shares with the file system and with compression. */
const lookupsAtOnceMax = 3;
/** Of these, what is left to names that have not yet shown that they are quick. */
const unprovenAtOnceMax = 2;
/** How long a name is not looked up after it was too slow. */
const slowRestMs = 60_000;
/** Names of which is known how they did; of more, the one longest unused is forgotten. */
const rememberedMax = 10_000;

/** A look-up that takes too long fails; its thread stays occupied until the system gives up. */
function inTime(lookup: Resolver, clock: Clock): Resolver {
  return async (host) => {
    const done = new AbortController();
    const late = clock.sleep(lookupMsMax, done.signal).then(() => null);
    try {
      const found = await Promise.race([lookup(host), late]);
      if (found === null) throw new Error(`no answer within ${lookupMsMax} ms`);
      return found;
    } finally {
      done.abort();
    }
  };
}

/**
 * Name servers belong to strangers: slow ones must neither take every thread nor keep other names out.
 * So one place is kept for names that were quick the last time, and a name that was too slow rests: it
 * fails at once. What waited too long is not looked up.
 */
function fairly(lookup: Resolver, clock: Clock): Resolver {
  /** How the last look-up of a name went; the names used last come last. */
  const remembered = new Map<string, { tookMs: number; endedAt: number }>();
  const waiting: { unproven: boolean; start: () => void }[] = [];
  const running = { all: 0, unproven: 0 };

  const startWaiting = (): void => {
    while (running.all < lookupsAtOnceMax) {
      const next = waiting.findIndex(({ unproven }) => !unproven || running.unproven < unprovenAtOnceMax);
      if (next === -1) return;
      const [started] = waiting.splice(next, 1);
      running.all += 1;
      if (started?.unproven === true) running.unproven += 1;
      started?.start();
    }
  };
  const remember = (host: string, tookMs: number): void => {
    remembered.delete(host);
    remembered.set(host, { tookMs, endedAt: clock.monotonic() });
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size > rememberedMax) remembered.delete(oldest);
  };

  return async (host) => {
    const last = remembered.get(host);
    const askedAt = clock.monotonic();
    if (last !== undefined && last.tookMs >= lookupMsMax && askedAt < last.endedAt + slowRestMs)
      throw new Error(`no answer within ${lookupMsMax} ms a moment ago`);
    const unproven = last === undefined || last.tookMs > quickLookupMs;
    await new Promise<void>((start) => {
      waiting.push({ unproven, start });
      startWaiting();
    });
    const startedAt = clock.monotonic();
    try {
      if (startedAt - askedAt >= lookupMsMax) throw new Error('other look-ups took too long');
      return await lookup(host).finally(() => remember(host, clock.monotonic() - startedAt));
    } finally {
      running.all -= 1;
      if (unproven) running.unproven -= 1;
      startWaiting();
    }
  };
}

/** One look-up at a time for each name: a webhook must not take several threads with its retries. */
function once(lookup: Resolver): Resolver {
  const running = new Map<string, Promise<ResolvedAddress[]>>();
  return (host) => {
    const known = running.get(host);
    if (known !== undefined) return known;
    const found = lookup(host).finally(() => running.delete(host));
    running.set(host, found);
    return found;
  };
}

async function lookupAll(host: string): Promise<ResolvedAddress[]> {
  const found = await systemLookup(host, { all: true });
  return found.map(({ address }) => ({ address, family: familyOf(address) }));
}
