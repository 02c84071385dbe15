import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { resolveProvider, type ProviderEndpoints } from '../../src/provider/providers.ts';

describe('providers', () => {
  test('Gmail out of the box: hosts, endpoints, scope and limits (L1, L3)', () => {
    const gmail = resolveProvider('gmail');
    assert.deepEqual(gmail.imap, { host: 'imap.gmail.com', port: 993, security: 'tls' });
    assert.deepEqual(gmail.smtp, { host: 'smtp.gmail.com', port: 465, security: 'tls' });
    assert.equal(gmail.oauth?.tokenUrl, 'https://oauth2.googleapis.com/token');
    assert.deepEqual(gmail.scopes.mail, ['https://mail.google.com/']);
    assert.equal(gmail.limits.attachmentsBytesMax, 26_214_400);
    assert.equal(gmail.limits.individualMessagesPerDayMax, 500);
    assert.equal(gmail.strategy, 'all_mail');
  });

  test('Outlook out of the box: hosts, tenant, scopes and limits (L1, L2)', () => {
    const outlook = resolveProvider('outlook');
    assert.deepEqual(outlook.imap, { host: 'outlook.office365.com', port: 993, security: 'tls' });
    assert.deepEqual(outlook.smtp, { host: 'smtp.office365.com', port: 587, security: 'starttls' });
    assert.deepEqual(outlook.oauth, {
      dialect: 'microsoft',
      authoriseUrl: 'https://login.microsoftonline.com/common/oauth2/v2.0/authorize',
      tokenUrl: 'https://login.microsoftonline.com/common/oauth2/v2.0/token',
      adminConsentUrl: 'https://login.microsoftonline.com/organizations/v2.0/adminconsent',
      issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0',
    });
    assert.equal(outlook.limits.attachmentBytesMax, 3_145_728);
    assert.equal(outlook.limits.attachmentExtensions?.length, 11);
    assert.equal(outlook.strategy, 'inbox_and_sent');
  });

  const clouds: [ProviderEndpoints['cloud'], string, string, string][] = [
    [
      'us_gcc_high',
      'login.microsoftonline.us',
      'outlook.office365.us',
      'https://outlook.office365.us/SMTP.Send',
    ],
    [
      'us_dod',
      'login.microsoftonline.us',
      'outlook-dod.office365.us',
      'https://outlook-dod.office365.us/SMTP.Send',
    ],
    [
      'china',
      'login.partner.microsoftonline.cn',
      'partner.outlook.cn',
      'https://partner.outlook.cn/SMTP.Send',
    ],
  ];
  for (const [cloud, login, host, scope] of clouds) {
    test(`the ${cloud} cloud moves authority, hosts and scopes together`, () => {
      assert(cloud !== undefined);
      const outlook = resolveProvider('outlook', { cloud, tenant: 'contoso.example' });
      assert.equal(outlook.imap?.host, host);
      assert.equal(outlook.oauth?.tokenUrl, `https://${login}/contoso.example/oauth2/v2.0/token`);
      assert.equal(outlook.scopes.mail[1], scope);
    });
  }

  test('for one tenant, that tenant administrator consents', () => {
    const { oauth } = resolveProvider('outlook', { tenant: 'contoso.example' });
    assert(oauth?.dialect === 'microsoft');
    assert.equal(
      oauth.adminConsentUrl,
      'https://login.microsoftonline.com/contoso.example/v2.0/adminconsent',
    );
  });

  test('a part of a server address can be overridden, and undefined overrides nothing', () => {
    const gmail = resolveProvider('gmail', { imap: { port: 1993 }, smtp: {} });
    assert.deepEqual(gmail.imap, { host: 'imap.gmail.com', port: 1993, security: 'tls' });
    assert.deepEqual(gmail.smtp, { host: 'smtp.gmail.com', port: 465, security: 'tls' });
  });

  test('a generic mail host has no servers, no consent, no Sent copy of its own (C3, U1)', () => {
    const imap = resolveProvider('imap');
    assert.equal(imap.imap, null);
    assert.equal(imap.oauth, null);
    assert.equal(imap.savesSentCopy, false);
    assert.equal(imap.limits.individualMessagesPerDayMax, 500);
  });

  test('what is half configured is refused by name', () => {
    assert.throws(() => resolveProvider('sandbox'), /sandbox: authoriseUrl must be configured/);
    assert.throws(
      () => resolveProvider('imap', { imap: { host: 'mail.example.com' } }),
      /imap: imap: host, port and security/,
    );
  });

  test('the sandbox speaks the Google dialect at the addresses it is given', () => {
    const sandbox = resolveProvider('sandbox', {
      authoriseUrl: 'http://127.0.0.1:1/a',
      tokenUrl: 'http://127.0.0.1:1/t',
      revokeUrl: 'http://127.0.0.1:1/r',
      certsUrl: 'http://127.0.0.1:1/c',
      issuers: ['http://127.0.0.1:1'],
    });
    assert.equal(sandbox.oauth?.dialect, 'google');
    assert.equal(sandbox.oauth.tokenUrl, 'http://127.0.0.1:1/t');
  });
});
