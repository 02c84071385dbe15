import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serversOf } from '../../src/mailbox/srv.ts';
import type { SrvRecord } from '../../src/mailbox/srv.ts';

const at = (name: string, port: number, more: Partial<SrvRecord> = {}): SrvRecord => ({
  name,
  port,
  priority: 0,
  weight: 0,
  ...more,
});
const none = at('', 0);

describe('RFC 6186, RFC 8314: servers by SRV records', () => {
  test('TLS from the start comes first, STARTTLS is demanded of the others', () => {
    assert.deepEqual(
      serversOf({
        _imaps: [at('imap.company.example', 993)],
        _imap: [at('old.company.example', 143)],
        _submission: [at('smtp.company.example', 587)],
      }),
      {
        imap: { host: 'imap.company.example', port: 993, security: 'tls' },
        smtp: { host: 'smtp.company.example', port: 587, security: 'starttls' },
      },
    );
  });

  test('RFC 2782: the lowest priority, of equals the greatest weight', () => {
    const records = [
      at('c.company.example', 993, { priority: 5 }),
      at('a.company.example', 993, { priority: 1, weight: 1 }),
      at('b.company.example', 993, { priority: 1, weight: 9 }),
    ];
    assert.deepEqual(serversOf({ _imaps: records }).imap, {
      host: 'b.company.example',
      port: 993,
      security: 'tls',
    });
  });

  test('the target "." says that there is none; no record says nothing', () => {
    assert.deepEqual(serversOf({ _imaps: [none], _imap: [none] }), { imap: 'not_offered', smtp: null });
    assert.equal(serversOf({ _imap: [at('.', 0)] }).imap, 'not_offered');
    const both = serversOf({ _imap: [none], _imaps: [at('imap.company.example', 993)] });
    assert.deepEqual(both.imap, { host: 'imap.company.example', port: 993, security: 'tls' });
  });

  test('what is no host name is left out', () => {
    for (const name of ['10.0.0.1', 'localhost', 'a b.example', '<b>.example'])
      assert.equal(serversOf({ _imaps: [at(name, 993)] }).imap, null, name);
  });
});
