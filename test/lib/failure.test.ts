import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Failure, messageOf, tlsProblem } from '../../src/lib/failure.ts';

const error = (fields: object, message = 'x') => Object.assign(new Error(message), fields);

const cases: [name: string, thrown: unknown, problem: ReturnType<typeof tlsProblem>][] = [
  ['self-signed', error({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'untrusted'],
  ['another host’s', error({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' }), 'untrusted'],
  ['expired', error({ code: 'CERT_HAS_EXPIRED' }), 'untrusted'],
  ['of an unknown authority', error({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }), 'untrusted'],
  [
    'nodemailer’s own code over it',
    error({ code: 'ESOCKET', originalCode: 'SELF_SIGNED_CERT_IN_CHAIN' }),
    'untrusted',
  ],
  [
    'below a Failure of ours',
    new Failure('temporary', 'x', 'x', { cause: error({ code: 'CERT_HAS_EXPIRED' }) }),
    'untrusted',
  ],
  ['a port without TLS', error({ code: 'ESOCKET', originalCode: 'ERR_SSL_WRONG_VERSION_NUMBER' }), 'failed'],
  ['no STARTTLS, by nodemailer', error({ code: 'ETLS' }), 'failed'],
  ['no STARTTLS, by imapflow', error({ tlsFailed: true }), 'failed'],
  [
    'a reset in the handshake',
    error(
      { code: 'ECONNRESET' },
      'Client network socket disconnected before secure TLS connection was established',
    ),
    'failed',
  ],
  ['a reset', error({ code: 'ECONNRESET' }, 'read ECONNRESET'), null],
  ['nobody there', error({ code: 'ECONNREFUSED' }), null],
  ['no error at all', 'certificate', null],
];

describe('whether TLS was what failed', () => {
  for (const [name, thrown, problem] of cases) {
    test(name, () => assert.equal(tlsProblem(thrown), problem));
  }
});

describe('the text of what was thrown', () => {
  test('is that of the error, of all that it gathers where it has none itself, or the thing itself', () => {
    const refused = ['127.0.0.1', '::1'].map((address) => new Error(`connect ECONNREFUSED ${address}:25`));
    assert.equal(messageOf(new Error('no room')), 'no room');
    assert.equal(
      messageOf(new AggregateError(refused)),
      'connect ECONNREFUSED 127.0.0.1:25; connect ECONNREFUSED ::1:25',
    );
    assert.equal(messageOf(new AggregateError(refused, 'nobody there')), 'nobody there');
    assert.equal(messageOf('no error'), 'no error');
  });
});
