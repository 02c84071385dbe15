/** Pure: whether the DNS records of the logging domain bring its mail here. */
import ipaddr from 'ipaddr.js';
import { ok, problem, warning } from '../lib/finding.ts';
import type { Finding, FindingSaid } from '../lib/finding.ts';
import { isPublicAddress } from '../lib/net-guard.ts';
import type { DomainRecords, MailHost } from './domain-records.ts';

/** That nothing is known of it. */
export function unanswered(question: FindingSaid, failure: string): Finding {
  return warning({ say: 'dns_silent', question, failure }, { say: 'ask_again' });
}

/** Whether the domain takes mail at all. */
export function mxFindings({ domain, mx, hosts }: DomainRecords): Finding[] {
  if (mx.failure !== null) return [unanswered({ say: 'question_mx', name: domain }, mx.failure)];
  if (mx.rows.length === 0) {
    const [itself] = hosts;
    if (itself !== undefined && itself.addresses.rows.length > 0) {
      return [warning({ say: 'mx_implied', domain }, { say: 'add_mx_as_wanted', domain })];
    }
    return [problem({ say: 'mx_none', domain }, { say: 'add_mx', domain })];
  }
  const named = mx.rows.filter(({ exchange }) => exchange !== '');
  if (named.length === 0) {
    return [problem({ say: 'mx_null', domain }, { say: 'replace_mx', domain })];
  }
  const list = named.map(({ exchange, priority }) => `${priority} ${exchange}`).join(', ');
  if (named.length < mx.rows.length) {
    return [problem({ say: 'mx_null_beside', domain, list }, { say: 'remove_null' })];
  }
  return [ok({ say: 'mx_ok', domain, list })];
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
    return [problem({ say: 'host_is_address', name }, { say: 'name_host' })];
  }
  const [target] = cname.rows;
  if (target === undefined) return addressFindings(host);
  return [problem({ say: 'host_is_alias', name, target }, { say: 'name_target', name, target })];
}

function addressFindings({ name, addresses }: MailHost): Finding[] {
  if (addresses.failure !== null) return [unanswered({ say: 'question_addresses', name }, addresses.failure)];
  if (addresses.rows.length === 0) {
    return [problem({ say: 'host_without_address', name }, { say: 'add_address', name })];
  }
  const hidden = addresses.rows.filter((address) => !isPublicAddress(address));
  if (hidden.length > 0) {
    return [problem({ say: 'host_hidden', name, addresses: hidden.join(', ') }, { say: 'make_public' })];
  }
  return [ok({ say: 'host_ok', name, addresses: addresses.rows.join(', ') })];
}
