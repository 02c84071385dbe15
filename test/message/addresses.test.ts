import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  canonicalAddress,
  canonicalOwnAddress,
  domainOf,
  isNoReplyAddress,
  parseAddressList,
  validAddress,
} from '../../src/message/addresses.ts';
import { assertInProportion } from '../fixtures/message/timing.ts';

const lists: [name: string, header: string, expected: [name: string, address: string][]][] = [
  ['a bare address', 'jane@customer.example', [['', 'jane@customer.example']]],
  ['a name and brackets', 'Jane Doe <Jane@Customer.example>', [['Jane Doe', 'Jane@Customer.example']]],
  [
    'a quoted name with a comma',
    '"Doe, Jane" <jane@customer.example>',
    [['Doe, Jane', 'jane@customer.example']],
  ],
  [
    'several',
    'a@x.example, B <b@x.example>,c@x.example',
    [
      ['', 'a@x.example'],
      ['B', 'b@x.example'],
      ['', 'c@x.example'],
    ],
  ],
  ['an encoded name', '=?UTF-8?Q?J=C3=BCrgen?= <j@x.example>', [['Jürgen', 'j@x.example']]],
  ['an encoded name with a raw comma', '=?utf-8?Q?Doe, Jane?= <j@x.example>', [['Doe, Jane', 'j@x.example']]],
  ['an encoded name, quoted', '"=?utf-8?B?SsO8cmdlbg==?=" <j@x.example>', [['Jürgen', 'j@x.example']]],
  ['a comment as name', 'jane@x.example (Jane (the boss))', [['Jane (the boss)', 'jane@x.example']]],
  [
    'a group',
    'Team: a@x.example, "B, C" <b@x.example>; d@x.example',
    [
      ['', 'a@x.example'],
      ['B, C', 'b@x.example'],
      ['', 'd@x.example'],
    ],
  ],
  ['an empty group', 'undisclosed-recipients:;', []],
  ['nothing', '', []],
  ['only commas', ' , ,', []],
  ['a name without address', 'Jane Doe', []],
  ['an empty address', 'Jane <>', []],
  ['no at sign', 'Jane <jane at x.example>', []],
  ['an unclosed bracket', 'Jane <jane@x.example', [['Jane', 'jane@x.example']]],
  ['mailto in brackets', '<mailto:jane@x.example>', [['', 'jane@x.example']]],
  [
    'semicolons between',
    'a@x.example; b@x.example',
    [
      ['', 'a@x.example'],
      ['', 'b@x.example'],
    ],
  ],
  ['a source route', '<@relay.example:jane@x.example>', [['', 'jane@x.example']]],
  [
    'an address in the name',
    'ceo@bank.example <mallory@x.example>',
    [['ceo@bank.example', 'mallory@x.example']],
  ],
  [
    'an address in the quoted name',
    '"ceo@bank.example" <m@x.example>',
    [['ceo@bank.example', 'm@x.example']],
  ],
  [
    'an address in the encoded name',
    '=?utf-8?q?ceo=40bank.example?= <m@x.example>',
    [['ceo@bank.example', 'm@x.example']],
  ],
  ['a name that is an address, and no address', '"ceo@bank.example" <jane at x.example>', []],
  ['only an encoded word that decodes to an address', '=?utf-8?q?ceo=40bank.example?=', []],
  ['an encoded word with a domain of its own', '=?utf-8?q?ceo=40bank.example=2C?=@x.example', []],
  [
    'a group in an encoded word',
    '=?utf-8?q?x:carla@customer.example;?= <m@x.example>',
    [['x:carla@customer.example;', 'm@x.example']],
  ],
  [
    'an address in brackets in an encoded word',
    '=?utf-8?q?Carla <carla@customer.example>,?= <m@x.example>',
    [['Carla <carla@customer.example>,', 'm@x.example']],
  ],
  [
    'a quote in an encoded word',
    '=?utf-8?q?"?= <m@x.example>, j@x.example',
    [
      ['"', 'm@x.example'],
      ['', 'j@x.example'],
    ],
  ],
  [
    'a comment in an encoded word',
    '=?utf-8?q?(?= <m@x.example>, j@x.example',
    [
      ['(', 'm@x.example'],
      ['', 'j@x.example'],
    ],
  ],
  [
    'a group in the charset of an encoded word',
    '=?x:carla@customer.example;?q?a?= <m@x.example>',
    [['a', 'm@x.example']],
  ],
  ['two at signs', 'jane@x.example@evil.example', []],
  [
    'a quoted local part with an at sign',
    '"a@evil.example"@good.example',
    [['', '"a@evil.example"@good.example']],
  ],
  ['a non-ASCII address', 'jürgen@bücher.example', [['', 'jürgen@bücher.example']]],
];

const canonical: [written: string, contact: string, own: string][] = [
  ['Jane.Doe@Customer.Example', 'jane.doe@customer.example', 'jane.doe@customer.example'],
  ['jane+news@customer.example', 'jane+news@customer.example', 'jane@customer.example'],
  ['J.a.n.e+News@GoogleMail.com', 'jane+news@gmail.com', 'jane@gmail.com'],
  ['jane@gmail.com', 'jane@gmail.com', 'jane@gmail.com'],
  ['+tag@customer.example', '+tag@customer.example', '+tag@customer.example'],
  [' jane@customer.example. ', 'jane@customer.example', 'jane@customer.example'],
  ['"jane"@customer.example', 'jane@customer.example', 'jane@customer.example'],
  ['jane@Bücher.example', 'jane@xn--bcher-kva.example', 'jane@xn--bcher-kva.example'],
  ['jane@xn--bcher-kva.example', 'jane@xn--bcher-kva.example', 'jane@xn--bcher-kva.example'],
  ['...@gmail.com', '...@gmail.com', '...@gmail.com'],
  ['no address', 'no address', 'no address'],
];

describe('addresses', () => {
  for (const [name, header, expected] of lists) {
    test(`reads ${name}`, () => {
      assert.deepEqual(
        parseAddressList(header).map((each) => [each.name, each.address]),
        expected,
      );
    });
  }

  for (const [written, contact, own] of canonical) {
    test(`canonical form of ${written}`, () => {
      assert.equal(canonicalAddress(written), contact);
      assert.equal(canonicalOwnAddress(written), own);
    });
  }

  test('keeps at most 1,000 addresses, and drops those that fit no index', () => {
    assert.equal(parseAddressList('a@x.example,'.repeat(3000)).length, 1000);
    assert.deepEqual(parseAddressList(`${'a'.repeat(400)}@x.example, b@x.example`), [
      { name: '', address: 'b@x.example' },
    ]);
  });

  test('canonical forms are stable, and the own form of the contact form is the own form', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (address) => {
        const contact = canonicalAddress(address);
        assert.equal(canonicalAddress(contact), contact);
        assert.equal(canonicalAddress(address.toUpperCase()), contact);
        assert.equal(canonicalOwnAddress(contact), canonicalOwnAddress(address));
      }),
    );
  });

  test('anything as a header gives plausible addresses or none, fast', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (header) => {
        for (const { name, address } of parseAddressList(header)) {
          assert.match(address, /^[^\s<>]+@[^\s@<>]+$/u);
          assert.doesNotMatch(name, /\p{Cc}/u);
        }
      }),
    );
    for (const unit of ['a,', '<', '(', '"', 'a@b.c,', ' ', 'x:', '"a" <', '=?', '\\', '=?utf-8?q?a?= ']) {
      assertInProportion(unit, 262_144, (length) => parseAddressList(unit.repeat(length / unit.length)));
    }
  });

  test('domains', () => {
    const table = [
      ['jane@Customer.Example', 'customer.example'],
      ['jane@customer.example.', 'customer.example'],
      ['"a@b"@customer.example', 'customer.example'],
      ['jane@bücher.example', 'xn--bcher-kva.example'],
      ['jane', ''],
    ] as const;
    for (const [address, domain] of table) assert.equal(domainOf(address), domain, address);
  });

  test('B2: addresses that nobody reads', () => {
    const table: [string, boolean][] = [
      ['noreply@x.example', true],
      ['No-Reply@x.example', true],
      ['comments-noreply@x.example', true],
      ['no_reply+abc@x.example', true],
      ['donotreply@x.example', true],
      ['ne-pas-repondre@x.example', true],
      ['nicht-antworten@x.example', true],
      ['noresponder@x.example', true],
      ['nao-responda@x.example', true],
      ['MAILER-DAEMON@x.example', true],
      ['bounces+17-jane=y.example@x.example', true],
      ['jane@noreply.example', false],
      ['connor.eply@x.example', false],
      ['replies@x.example', false],
      ['reply@x.example', false],
      ['noreplyness@x.example', false],
      ['noreply', false],
    ];
    for (const [address, expected] of table) assert.equal(isNoReplyAddress(address), expected, address);
  });

  test('validates what the API is given', () => {
    const good = [
      'jane@customer.example',
      'j+t@x.co',
      "o'hara@x.example",
      'a@b.c',
      'jürgen@bücher.example',
      `${'a'.repeat(64)}@x.example`,
    ];
    const bad = [
      '',
      'jane',
      '@x.example',
      'jane@',
      'jane@localhost',
      'a b@x.example',
      ' jane@x.example',
      'jane@x.example ',
      'Jane <jane@x.example>',
      'a@b@x.example',
      '.a@x.example',
      'a..b@x.example',
      '"a b"@x.example',
      'jane@[192.0.2.1]',
      'jane@x..example',
      'jane@-x.example',
      'jane@x_y.example',
      'a@x.example\r\nBcc: b@x.example',
      'a\u0000@x.example',
      `${'a'.repeat(65)}@x.example`,
      `a@${'b'.repeat(250)}.example`,
    ];
    for (const address of good) assert.ok(validAddress(address), address);
    for (const address of bad) assert.ok(!validAddress(address), JSON.stringify(address));
  });
});
