import ipaddr from 'ipaddr.js';
import { Failure } from './failure.ts';

/** Whom a client address counts as: of IPv6, whoever has the /64, since one machine may use all of it. */
export function clientOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return parsed.toNormalizedString().split(':').slice(0, 4).join(':');
}

/** Whether an address is in one of these networks. */
export function isIn(networks: readonly string[], address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return networks.some((network) => {
    const [base, bits] = ipaddr.isValidCIDR(network)
      ? ipaddr.parseCIDR(network)
      : [ipaddr.process(network), 128];
    return (
      base.kind() === parsed.kind() && parsed.match(base, Math.min(bits, base.kind() === 'ipv4' ? 32 : 128))
    );
  });
}

/**
 * Who asks over HTTP. A proxy names whom it asks for at the end of X-Forwarded-For, behind whatever it was told itself,
 * which is worth nothing: so the last address counts that is none of our own proxies'. Null where nobody is named.
 */
export function httpClientOf(
  proxies: readonly string[],
  asked: { socketAddress: string | undefined; forwardedFor: string | undefined },
): string | null {
  const way = [...(asked.forwardedFor ?? '').split(','), asked.socketAddress ?? '']
    .map((address) => address.trim())
    .reverse();
  const client = way.find((address) => !isIn(proxies, address));
  return client !== undefined && ipaddr.isValid(client) ? ipaddr.process(client).toString() : null;
}

/** Whether `entry` is an address or a network (CIDR). */
export function isNetwork(entry: string): boolean {
  return ipaddr.isValidCIDR(entry) || ipaddr.isValid(entry);
}

/** Whether `entry` may stand in the list of private places that are allowed: a network, an address or a host name. */
export function isHostOrNetwork(entry: string): boolean {
  if (ipaddr.isValidCIDR(entry)) return true;
  try {
    // A URL takes more for a host than is one.
    return isLiteral(entry) || /^[\p{L}\p{N}._-]+$/u.test(hostOf(entry));
  } catch {
    return false;
  }
}

/**
 * A host in its one canonical spelling: lower case, without brackets and a last dot, IPv4 addresses in
 * dotted form however they were written (`0x7f.1`, `2130706433`, full-width digits). The URL parser
 * knows them all; what it does not take as a host is none.
 *
 * @throws Failure `permanent`, `invalid_host`.
 */
export function hostOf(given: string): string {
  const bare = given.startsWith('[') && given.endsWith(']') ? given.slice(1, -1) : given;
  if (ipaddr.IPv6.isValid(bare)) return ipaddr.process(bare).toString();
  const url = /[/\\@:?#\s]/.test(bare) ? null : URL.parse(`http://${bare}`);
  if (url === null) throw new Failure('permanent', 'invalid_host', 'this is no host name and no address');
  return url.hostname.replace(/\.$/, '');
}

/** Whether a host is an address, however it is written. */
export function isLiteral(host: string): boolean {
  return ipaddr.isValid(hostOf(host));
}
