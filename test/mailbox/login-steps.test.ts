import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Failure } from '../../src/lib/failure.ts';
import { failedStep, stepsOf } from '../../src/mailbox/login-steps.ts';

const coded = (fields: object, cause?: unknown) => Object.assign(new Error('x', { cause }), fields);
const wrapped = (cause: unknown) => new Failure('temporary', 'unexpected_answer', 'x', { cause });

describe('C3: which step of a login failed', () => {
  const table: [string, unknown, string][] = [
    ['a name that nobody knows', new Failure('temporary', 'unknown_host', 'x'), 'name'],
    ['a private network', new Failure('permanent', 'private_address', 'x'), 'name'],
    ['nobody listens', wrapped(coded({ code: 'ECONNREFUSED' })), 'connect'],
    [
      'nobody listens, as nodemailer says it',
      wrapped(coded({ code: 'ESOCKET', originalCode: 'ECONNREFUSED', command: 'CONN' })),
      'connect',
    ],
    ['no way there', wrapped(coded({ code: 'EHOSTUNREACH' })), 'connect'],
    ['no answer to the connection', wrapped(coded({ code: 'CONNECT_TIMEOUT' })), 'connect'],
    [
      'the same at SMTP',
      wrapped(coded({ code: 'ETIMEDOUT', timeoutType: 'CONNECT_TIMEOUT', command: 'CONN' })),
      'connect',
    ],
    ['a certificate of another host', wrapped(coded({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })), 'tls'],
    ['no TLS at this port', wrapped(coded({ code: 'ERR_SSL_WRONG_VERSION_NUMBER' })), 'tls'],
    ['no end of the handshake', wrapped(coded({ code: 'UPGRADE_TIMEOUT' })), 'tls'],
    ['no greeting', wrapped(coded({ code: 'GREETING_TIMEOUT' })), 'greeting'],
    [
      'no greeting of SMTP',
      wrapped(coded({ code: 'ETIMEDOUT', timeoutType: 'GREETING_TIMEOUT', command: 'CONN' })),
      'greeting',
    ],
    ['closed before the greeting', wrapped(coded({ code: 'ClosedAfterConnectTLS' })), 'greeting'],
    ['another greeting than SMTP’s', wrapped(coded({ code: 'EPROTOCOL', command: 'CONN' })), 'greeting'],
    ['a password that is refused', new Failure('denied', 'login_refused', 'x'), 'login'],
    [
      'a server with trouble of its own at the login',
      wrapped(coded({ authenticationFailed: true })),
      'login',
    ],
    [
      'a login that is put off',
      wrapped(coded({ code: 'EAUTH', command: 'AUTH PLAIN', responseCode: 454 })),
      'login',
    ],
  ];
  for (const [name, error, step] of table)
    test(`${name}: ${step}`, () => assert.equal(failedStep(error), step));

  test('STARTTLS begins after the greeting, and without TLS there is no such step', () => {
    assert.deepEqual(stepsOf('tls'), ['name', 'connect', 'tls', 'greeting', 'login']);
    assert.deepEqual(stepsOf('starttls'), ['name', 'connect', 'greeting', 'tls', 'login']);
    assert.deepEqual(stepsOf('none'), ['name', 'connect', 'greeting', 'login']);
  });
});
