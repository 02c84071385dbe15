import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  mailHostByExchanger,
  mailHostByServer,
  mailHostOf,
  mailHosts,
} from '../../src/provider/mail-hosts.ts';

describe('the list of mail hosts', () => {
  test('names are names, each stands once, and no password goes in clear', () => {
    const name = /^(?:[a-z\d-]+\.)+[a-z]{2,}$/;
    for (const list of ['domains', 'exchangers'] as const) {
      const all = mailHosts.flatMap((host) => host[list]);
      assert.deepEqual(all.length, new Set(all).size, list);
      for (const one of all) assert.match(one, name);
    }
    for (const { label, servers, hint, domains, exchangers } of mailHosts) {
      assert.ok(domains.length + exchangers.length > 0, label);
      if (servers === null) assert.ok(hint !== null, `${label}: why there is no way in`);
      for (const { host, port, security } of servers === null ? [] : [servers.imap, servers.smtp]) {
        assert.match(host, name);
        assert.notEqual(security, 'none');
        assert.equal(security, port === 587 ? 'starttls' : 'tls', `${label} ${host}`);
      }
    }
  });

  for (const [domain, label] of [
    ['gmail.com', 'Gmail'],
    ['hotmail.de', 'Outlook'],
    ['web.de', 'WEB.DE'],
    ['company.example', null],
    ['mail.gmail.com', null],
  ] as const) {
    test(`${domain}: ${label}`, () => assert.equal(mailHostOf(domain)?.label ?? null, label));
  }

  for (const [server, label] of [
    ['imap.mail.yahoo.com', 'Yahoo'],
    ['IMAP.web.de.', 'WEB.DE'],
    ['imap.company.example', null],
    ['web.de', null],
    ['', null],
  ] as const) {
    test(`a server ${server}: ${label}`, () => assert.equal(mailHostByServer(server)?.label ?? null, label));
  }

  for (const [exchanger, label] of [
    ['aspmx.l.google.com', 'Gmail'],
    ['company-example.mail.protection.outlook.com.', 'Outlook'],
    ['IN1-smtp.MessagingEngine.com', 'Fastmail'],
    ['mx00.kundenserver.de', 'IONOS'],
    ['mx.notgoogle.com', null],
    ['google.com.evil.example', null],
    ['com', null],
    ['', null],
  ] as const) {
    test(`an exchanger ${exchanger}: ${label}`, () =>
      assert.equal(mailHostByExchanger(exchanger)?.label ?? null, label));
  }
});
