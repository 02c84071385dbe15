import ipaddr from 'ipaddr.js';

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
