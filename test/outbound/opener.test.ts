import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openerOf } from '../../src/outbound/opener.ts';
import type { Opener, OpenerFacts } from '../../src/outbound/opener.ts';

const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0';

const cases: [name: string, facts: Partial<OpenerFacts>, opener: Opener][] = [
  ['a browser', {}, 'person'],
  ['Thunderbird', { userAgent: firefox.replace('Firefox', 'Thunderbird') }, 'person'],
  [
    'Apple Mail without Mail Privacy Protection',
    { userAgent: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)' },
    'person',
  ],
  ['Outlook', { userAgent: 'Mozilla/4.0 (compatible; ms-office; MSOffice 16)' }, 'person'],
  [
    'Gmail, for somebody who opens a mail',
    {
      userAgent: 'Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)',
    },
    'proxy',
  ],
  [
    'Yahoo',
    { userAgent: 'YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html' },
    'proxy',
  ],
  [
    'Gmail, ahead of everybody',
    {
      userAgent:
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0',
    },
    'machine',
  ],
  ['Apple Mail with Mail Privacy Protection', { userAgent: 'Mozilla/5.0' }, 'machine'],
  ['HEAD', { method: 'HEAD' }, 'machine'],
  ['a browser that loads ahead', { purpose: 'prefetch;prerender' }, 'machine'],
  ['Safari’s top hits', { purpose: 'preview' }, 'machine'],
  ['a proxy that loads ahead', { userAgent: 'GoogleImageProxy', purpose: 'prefetch' }, 'machine'],
  ['nobody', { userAgent: '' }, 'machine'],
  ['a scanner', { userAgent: 'BarracudaCentral/1.0' }, 'machine'],
  [
    'a crawler',
    { userAgent: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' },
    'machine',
  ],
  [
    'a preview in a chat',
    { userAgent: 'Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)' },
    'machine',
  ],
  ['a library', { userAgent: 'python-requests/2.32' }, 'machine'],
  ['a browser of a program', { userAgent: firefox.replace('Firefox', 'HeadlessChrome') }, 'machine'],
];

describe('D7: who opens', () => {
  for (const [name, facts, opener] of cases) {
    test(`${name}: ${opener}`, () => {
      assert.equal(openerOf({ method: 'GET', userAgent: firefox, purpose: '', ...facts }), opener);
    });
  }
});
