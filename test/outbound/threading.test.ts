import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Address } from '../../src/message/addresses.ts';
import { leftOutTest, recipientsOf, subjectOf, threadHeaders } from '../../src/outbound/threading.ts';
import type { Parent } from '../../src/outbound/threading.ts';

const people = (...addresses: string[]): Address[] => addresses.map((address) => ({ name: '', address }));
const nobody = { to: [], cc: [], bcc: [] };

const parent: Parent = {
  direction: 'inbound',
  sender: { name: 'Carla', address: 'carla@customer.example' },
  to: people('anna@mail.example', 'bert@mail.example'),
  replyTo: [],
  subject: 'An offer',
  internetMessageId: 'two@customer.example',
  originalMessageId: null,
  inReplyTo: ['one@mail.example'],
  references: ['zero@customer.example', 'one@mail.example'],
};

describe('D0: whom a message goes to', () => {
  const table: [
    name: string,
    named: Parameters<typeof recipientsOf>[0],
    of: Parent | null,
    expected: string,
  ][] = [
    [
      'what the call names',
      { ...nobody, to: people('x@a.example'), cc: people('y@a.example') },
      null,
      'x@a.example / y@a.example / ',
    ],
    [
      'the sender of a new message may name itself',
      { ...nobody, to: people('x@a.example'), bcc: people('anna@mail.example') },
      null,
      'x@a.example /  / anna@mail.example',
    ],
    ['an answer goes to the author', nobody, parent, 'carla@customer.example /  / '],
    [
      'or to where answers are wanted',
      nobody,
      { ...parent, replyTo: people('desk@customer.example', 'ANNA+x@mail.example') },
      'desk@customer.example /  / ',
    ],
    [
      'an answer to our own goes to its recipients',
      nobody,
      { ...parent, direction: 'outbound' },
      'bert@mail.example /  / ',
    ],
    [
      'an answer keeps nobody in Cc by itself, and never its own sender',
      { ...nobody, cc: people('Anna+crm@mail.example', 'c@a.example') },
      parent,
      'carla@customer.example / c@a.example / ',
    ],
    [
      'an answer to whom the call says',
      { ...nobody, to: people('other@a.example') },
      parent,
      'other@a.example /  / ',
    ],
    [
      'B6: never to a logging address, whoever names it',
      {
        to: people('x@a.example', 'log-1@LOG.crm.example'),
        cc: people('log-2+tag@log.crm.example'),
        bcc: people('log-3@log.crm.example', 'log@crm.example'),
      },
      null,
      'x@a.example /  / log@crm.example',
    ],
    [
      'B6: nor in an answer to a mail that names one',
      nobody,
      { ...parent, replyTo: people('carla@customer.example', 'log-1@log.crm.example') },
      'carla@customer.example /  / ',
    ],
    [
      'each address once, the first place counts',
      {
        to: people('x@a.example', 'X@A.example'),
        cc: people('x@a.example'),
        bcc: people('y@a.example', 'x@a.example'),
      },
      null,
      'x@a.example /  / y@a.example',
    ],
    [
      'a tag of a stranger is an address of its own',
      { ...nobody, to: people('x@a.example', 'x+1@a.example') },
      null,
      'x@a.example x+1@a.example /  / ',
    ],
  ];
  for (const [name, named, of, expected] of table) {
    test(name, () => {
      const { to, cc, bcc } = recipientsOf(
        named,
        of,
        leftOutTest({
          own: new Set(['anna@mail.example']),
          isAnswer: of !== null,
          loggingDomain: 'log.crm.example',
        }),
      );
      const shown = [to, cc, bcc].map((list) => list.map(({ address }) => address).join(' ')).join(' / ');
      assert.equal(shown, expected);
    });
  }
});

describe('D4: In-Reply-To and the full References', () => {
  const table: [name: string, of: Partial<Parent>, inReplyTo: string | null, references: string][] = [
    [
      'the references of the parent, then the parent',
      {},
      'two@customer.example',
      'zero@customer.example one@mail.example two@customer.example',
    ],
    [
      'a parent without references: what it answers',
      { references: [] },
      'two@customer.example',
      'one@mail.example two@customer.example',
    ],
    [
      'a parent that is the first',
      { references: [], inReplyTo: [] },
      'two@customer.example',
      'two@customer.example',
    ],
    [
      'a parent that the provider renamed: by the new id, with ours before it',
      { originalMessageId: 'ours@mail.example' },
      'two@customer.example',
      'zero@customer.example one@mail.example ours@mail.example two@customer.example',
    ],
    ['a parent without an id', { internetMessageId: null }, null, 'zero@customer.example one@mail.example'],
    [
      'a parent that its references name already: once, and last',
      { references: ['two@customer.example', 'zero@customer.example'] },
      'two@customer.example',
      'zero@customer.example two@customer.example',
    ],
    [
      'ids that no header line can hold are left out',
      {
        references: [`${'x'.repeat(950)}@long.example`, 'ü@a.example', 'a b@c.example', 'ok@a.example'],
        internetMessageId: 'evil>\r\nBcc: x',
      },
      null,
      'ok@a.example',
    ],
  ];
  for (const [name, of, inReplyTo, references] of table) {
    test(name, () => {
      assert.deepEqual(threadHeaders({ ...parent, ...of }), { inReplyTo, references: references.split(' ') });
    });
  }

  test('a new message cites nothing', () => {
    assert.deepEqual(threadHeaders(null), { inReplyTo: null, references: [] });
  });

  test('the subject keeps its base, unless the call gives another', () => {
    assert.equal(subjectOf(null, parent), 'Re: An offer');
    assert.equal(subjectOf(null, { ...parent, subject: 'AW: An offer' }), 'Re: An offer');
    assert.equal(subjectOf('Something else', parent), 'Something else');
    assert.equal(subjectOf(null, null), '');
  });
});
