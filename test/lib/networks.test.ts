import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clientOf, httpClientOf, isIn } from '../../src/lib/networks.ts';

describe('networks', () => {
  test('an address counts as itself, of IPv6 as its /64', () => {
    assert.equal(clientOf('192.0.2.1'), '192.0.2.1');
    assert.equal(clientOf('::ffff:192.0.2.1'), '192.0.2.1');
    assert.equal(clientOf('2001:db8:1:2:3::4'), clientOf('2001:db8:1:2:ffff::1'));
    assert.notEqual(clientOf('2001:db8:1:2::1'), clientOf('2001:db8:1:3::1'));
  });

  test('networks and addresses', () => {
    const networks = ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32', '::1'];
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.1', '2001:db8::7', '::1'])
      assert.equal(isIn(networks, address), true, address);
    for (const address of ['11.1.2.3', '192.0.2.2', '2001:db9::7', '::2', '', 'x'])
      assert.equal(isIn(networks, address), false, address);
    assert.equal(isIn([], '10.1.2.3'), false);
  });

  for (const [title, socketAddress, forwardedFor, client] of [
    ['whoever connects', '192.0.2.1', undefined, '192.0.2.1'],
    ['who is no proxy of ours is believed nothing', '192.0.2.1', '198.51.100.9', '192.0.2.1'],
    ['whom a proxy names', '10.0.0.1', '198.51.100.9', '198.51.100.9'],
    ['not whom the client itself named before', '10.0.0.1', '203.0.113.5, 198.51.100.9', '198.51.100.9'],
    ['through two proxies', '::ffff:10.0.0.1', '198.51.100.9,10.0.0.2', '198.51.100.9'],
    ['a proxy that names nobody', '10.0.0.1', undefined, null],
    ['a proxy that names nonsense', '10.0.0.1', 'unknown', null],
    ['nobody', undefined, undefined, null],
  ] as const) {
    test(`a client over HTTP: ${title}`, () => {
      assert.equal(httpClientOf(['10.0.0.0/8'], { socketAddress, forwardedFor }), client);
    });
  }
});
