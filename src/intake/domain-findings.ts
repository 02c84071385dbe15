/** Pure: whether the DNS records of the logging domain bring its mail here. */
import ipaddr from 'ipaddr.js';
import { ok, problem, warning } from '../lib/finding.ts';
import type { Finding } from '../lib/finding.ts';
import { isPublicAddress } from '../lib/net-guard.ts';
import type { DomainRecords, MailHost } from './domain-records.ts';

/** That nothing is known of it. */
export function unanswered(question: string, failure: string): Finding {
  return warning(
    `DNS did not tell ${question}: ${failure}`,
    'Run this again; where it stays, ask the people of the DNS server, or name another one in TWOWAY_DNS_SERVERS.',
  );
}

/** Whether the domain takes mail at all. */
export function mxFindings({ domain, mx, hosts }: DomainRecords): Finding[] {
  if (mx.failure !== null) return [unanswered(`the MX records of ${domain}`, mx.failure)];
  const addRecord = `At your DNS provider add: ${domain}. MX 10 <name of this gateway's host>.`;
  if (mx.rows.length === 0) {
    const [itself] = hosts;
    if (itself !== undefined && itself.addresses.rows.length > 0) {
      return [
        warning(
          `${domain} has no MX record; mail goes to its own address, as RFC 5321 §5.1 allows`,
          `${addRecord} Some senders want one.`,
        ),
      ];
    }
    return [problem(`${domain} has no MX record, so that no mail reaches the logging addresses`, addRecord)];
  }
  const named = mx.rows.filter(({ exchange }) => exchange !== '');
  if (named.length === 0) {
    return [
      problem(
        `the MX record of ${domain} says that it takes no mail (a null MX, RFC 7505)`,
        `Replace it: ${domain}. MX 10 <name of this gateway's host>.`,
      ),
    ];
  }
  const list = named.map(({ exchange, priority }) => `${priority} ${exchange}`).join(', ');
  if (named.length < mx.rows.length) {
    return [
      problem(
        `${domain} has a null MX (RFC 7505) beside others (${list})`,
        'Remove the record "0 ."; it may only stand alone.',
      ),
    ];
  }
  return [ok(`${domain} has MX ${list}`)];
}

/** Whether the hosts that take the domain's mail can be reached. */
export function hostFindings({ domain, mx, hosts }: DomainRecords): Finding[] {
  const isImplied = mx.rows.length === 0;
  return hosts.flatMap((host): Finding[] => {
    // That there is none is told of the MX record.
    if (isImplied && host.addresses.failure === null && host.addresses.rows.length === 0) return [];
    return host.name === domain && isImplied ? addressFindings(host) : hostFinding(host);
  });
}

function hostFinding(host: MailHost): Finding[] {
  const { name, cname } = host;
  if (ipaddr.isValid(name)) {
    return [
      problem(
        `the MX record names the address ${name} where a host name must stand`,
        `Give the host a name with that address in an A or AAAA record, and name it in the MX record.`,
      ),
    ];
  }
  const [target] = cname.rows;
  if (target === undefined) return addressFindings(host);
  return [
    problem(
      `${name}, which the MX record names, is an alias (CNAME) of ${target}; an MX must not name one (RFC 2181 §10.3)`,
      `Let the MX record name ${target} itself, or give ${name} an A or AAAA record in place of the CNAME.`,
    ),
  ];
}

function addressFindings({ name, addresses }: MailHost): Finding[] {
  if (addresses.failure !== null) return [unanswered(`the addresses of ${name}`, addresses.failure)];
  if (addresses.rows.length === 0) {
    return [
      problem(
        `${name}, which is to take the mail, has no address`,
        `Add an A or AAAA record for ${name}, with the public address at which port 25 leads to this gateway.`,
      ),
    ];
  }
  const hidden = addresses.rows.filter((address) => !isPublicAddress(address));
  if (hidden.length > 0) {
    return [
      problem(
        `${name} has the address ${hidden.join(', ')}, which cannot be reached from the Internet`,
        'Put the public address in its A or AAAA record; inside your network it may have another one, by another DNS server.',
      ),
    ];
  }
  return [
    ok(
      `${name} is at ${addresses.rows.join(', ')}; whether port 25 there leads to this gateway cannot be seen from here`,
    ),
  ];
}
