import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { request } from 'undici';
import { Failure } from '../../src/lib/failure.ts';
import { createNetGuard } from '../../src/lib/net-guard.ts';
import type { Resolver } from '../../src/lib/net-guard.ts';
import { createManualClock } from '../support/manual-clock.ts';

const refuse: Resolver = (host) => Promise.reject(new Error(`nobody may look up ${host}`));
const withCode = (code: string) => (error: unknown) => error instanceof Failure && error.code === code;

/** Resolves each name to the next of its answers, and the last one for ever. */
function answering(table: Record<string, string[][]>): { lookup: Resolver; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    lookup: async (host) => {
      asked.push(host);
      const answers = table[host] ?? [];
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      if (answer === undefined) throw new Error('ENOTFOUND');
      return answer.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    },
  };
}

const privateHosts = [
  '127.0.0.1',
  '127.1',
  '2130706433',
  '0x7f.1',
  '0177.0.0.1',
  '１２７.0.0.1',
  '127.0.0.1.',
  '0',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '198.18.0.1',
  '192.0.2.1',
  '224.0.0.1',
  '255.255.255.255',
  '::1',
  '[::1]',
  '::',
  '::ffff:127.0.0.1',
  '[::ffff:7f00:1]',
  '::127.0.0.1',
  '::7f00:1',
  '4000::1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::1',
  '2002:7f00:1::',
  'fe80::1',
  'fd00::1',
  'fec0::1',
  'ff02::1',
];

describe('a literal address is judged in every spelling, and never looked up', () => {
  const guard = createNetGuard({ allow: [], lookup: refuse });
  for (const host of privateHosts) {
    test(`${host} is refused`, async () => {
      await assert.rejects(guard.resolve(host), withCode('private_address'));
      const inUrl = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
      assert.throws(() => guard.assertUrl(`http://${inUrl}/hook`), withCode('private_address'));
      const agent = guard.agent({});
      await assert.rejects(
        request(`http://${inUrl}:9/`, { dispatcher: agent }),
        withCode('private_address'),
        'the agent',
      );
      await agent.close();
    });
  }
  test('public addresses pass as they are', async () => {
    assert.deepEqual(await guard.resolve('8.8.8.8'), { address: '8.8.8.8', family: 4 });
    assert.deepEqual(await guard.resolve('[2606:4700::1111]'), { address: '2606:4700::1111', family: 6 });
    assert.deepEqual(await guard.resolve('::ffff:8.8.8.8'), { address: '8.8.8.8', family: 4 });
  });
});

describe('a name is judged by where it leads', () => {
  test('a name with private addresses only is refused', async () => {
    const { lookup } = answering({ 'crm.example': [['10.0.0.5', 'fd00::5']] });
    const guard = createNetGuard({ allow: [], lookup });
    await assert.rejects(guard.resolve('crm.example'), withCode('private_address'));
  });
  test('of mixed addresses the public ones are used', async () => {
    const { lookup } = answering({ 'crm.example': [['10.0.0.5', '64:ff9b::1', '8.8.4.4']] });
    const guard = createNetGuard({ allow: [], lookup });
    assert.deepEqual(await guard.resolve('CRM.example.'), { address: '8.8.4.4', family: 4 });
  });
  test('a name that does not exist is a temporary failure: DNS has its bad days', async () => {
    const guard = createNetGuard({ allow: [], lookup: answering({}).lookup });
    await assert.rejects(
      guard.resolve('no.example'),
      (error) => withCode('unknown_host')(error) && (error as Failure).kind === 'temporary',
    );
  });
  for (const host of ['', 'a b', 'x/y', 'user@x.example', 'x.example:25', '1.2.3.4.5', '[::1', 'x\\y']) {
    test(`"${host}" is no host`, async () => {
      const guard = createNetGuard({ allow: [], lookup: refuse });
      await assert.rejects(guard.resolve(host), withCode('invalid_host'));
    });
  }
  test('two questions at once for one name are one look-up', async () => {
    const { lookup, asked } = answering({ 'crm.example': [['8.8.4.4']] });
    const guard = createNetGuard({ allow: [], lookup });
    await Promise.all([guard.resolve('crm.example'), guard.resolve('crm.example')]);
    assert.deepEqual(asked, ['crm.example']);
    await guard.resolve('crm.example');
    assert.equal(asked.length, 2, 'nothing is remembered');
  });
});

describe('the allow-list', () => {
  const { lookup } = answering({ 'crm.local': [['10.1.2.3']], 'other.example': [['10.9.9.9']] });
  const guard = createNetGuard({
    allow: ['10.1.0.0/16', 'fd00::/8', 'other.example', '192.168.0.9'],
    lookup,
  });
  test('a network, an address, a name', async () => {
    assert.equal((await guard.resolve('crm.local')).address, '10.1.2.3');
    assert.equal((await guard.resolve('fd00::7')).address, 'fd00::7');
    assert.equal((await guard.resolve('192.168.0.9')).address, '192.168.0.9');
    assert.equal((await guard.resolve('other.example')).address, '10.9.9.9');
    assert.equal((await guard.resolve('::ffff:10.1.0.1')).address, '10.1.0.1');
  });
  test('permits nothing beside them', async () => {
    await assert.rejects(guard.resolve('10.9.9.9'), withCode('private_address'));
    await assert.rejects(guard.resolve('192.168.0.8'), withCode('private_address'));
    await assert.rejects(guard.resolve('127.0.0.1'), withCode('private_address'));
  });
  test('an entry that is nothing stops the start', () => {
    assert.throws(() => createNetGuard({ allow: ['10.0.0.0/8', 'no host'] }), withCode('invalid_host'));
  });
});

describe('name servers that are slow', () => {
  /** A resolver whose answers for `slow…` come when the test says so. */
  function slowly() {
    const asked: string[] = [];
    const answers = new Map<string, () => void>();
    const lookup: Resolver = (host) => {
      asked.push(host);
      const found = [{ address: '93.184.216.34', family: 4 as const }];
      if (!host.startsWith('slow')) return Promise.resolve(found);
      return new Promise((resolve) => answers.set(host, () => resolve(found)));
    };
    return { asked, answers, lookup };
  }

  test('occupy two of the system’s few threads, and no more', async () => {
    const clock = createManualClock();
    const { asked, answers, lookup } = slowly();
    const guard = createNetGuard({ allow: [], lookup, clock });
    const slow = [1, 2, 3].map((n) => guard.resolve(`slow${n}.example`));
    const quick = guard.resolve('quick.example');
    await clock.advance(0);
    assert.deepEqual(asked, ['slow1.example', 'slow2.example']);
    answers.get('slow1.example')?.();
    await slow[0];
    await clock.advance(0);
    answers.get('slow3.example')?.();
    await slow[2];
    await quick;
    assert.deepEqual(asked, ['slow1.example', 'slow2.example', 'slow3.example', 'quick.example']);
    answers.get('slow2.example')?.();
    await slow[1];
    assert.equal(clock.sleeping(), 0);
  });

  test('keep out no name that was quick before', async () => {
    const clock = createManualClock();
    const { asked, answers, lookup } = slowly();
    const guard = createNetGuard({ allow: [], lookup, clock });
    await guard.resolve('quick.example');
    const refused = [1, 2, 3, 4].map((n) =>
      assert.rejects(guard.resolve(`slow${n}.example`), withCode('unknown_host')),
    );
    await clock.advance(0);
    const quick = guard.resolve('quick.example');
    await clock.advance(0);
    assert.deepEqual(asked, ['quick.example', 'slow1.example', 'slow2.example', 'quick.example']);
    assert.equal((await quick).address, '93.184.216.34');
    await clock.advance(5_000);
    await Promise.all(refused);
    for (const answer of answers.values()) answer();
    await clock.advance(0);
  });

  test('are left alone for a minute: the name fails at once, and takes no place from others', async () => {
    const clock = createManualClock();
    const { asked, answers, lookup } = slowly();
    const guard = createNetGuard({ allow: [], lookup, clock });
    const failing = () => assert.rejects(guard.resolve('slow.example'), withCode('unknown_host'));
    const first = failing();
    await clock.advance(20_000);
    await first;
    answers.get('slow.example')?.();
    await clock.advance(0);
    const soon = failing();
    await clock.advance(59_999);
    const later = failing();
    await clock.advance(0);
    assert.deepEqual(asked.splice(0), ['slow.example'], 'looked up once');
    await Promise.all([soon, later]);
    await clock.advance(1);
    const again = guard.resolve('slow.example');
    await clock.advance(0);
    answers.get('slow.example')?.();
    assert.equal((await again).address, '93.184.216.34');
    assert.deepEqual(asked, ['slow.example'], 'a minute later it is asked again');
  });

  test('that answer, but not within a second, have no claim to the place of the quick', async () => {
    const clock = createManualClock();
    const { asked, answers, lookup } = slowly();
    const guard = createNetGuard({ allow: [], lookup, clock });
    const late = [1, 2, 3].map((n) => `slow${n}.example`);
    for (const host of late) {
      const found = guard.resolve(host);
      await clock.advance(1_001);
      answers.get(host)?.();
      await found;
    }
    asked.splice(0);
    const found = late.map((host) => guard.resolve(host));
    await clock.advance(0);
    assert.deepEqual(asked, late.slice(0, 2), 'the third place stays free');
    for (const host of late) {
      answers.get(host)?.();
      await clock.advance(0);
    }
    await Promise.all(found);
  });

  test('are waited for 5 s, and what has waited for them is not asked any more', async () => {
    const clock = createManualClock();
    const { asked, answers, lookup } = slowly();
    const guard = createNetGuard({ allow: [], lookup, clock });
    const refused = ['slow1.example', 'slow2.example', 'late.example'].map((host) =>
      assert.rejects(guard.resolve(host), withCode('unknown_host')),
    );
    await clock.advance(5_000);
    await Promise.all(refused);
    for (const answer of answers.values()) answer();
    await clock.advance(0);
    assert.equal((await guard.resolve('quick.example')).address, '93.184.216.34');
    assert.deepEqual(asked, ['slow1.example', 'slow2.example', 'quick.example']);
    assert.equal(clock.sleeping(), 0);
  });
});

describe('what can be said of a URL when it is registered', () => {
  const guard = createNetGuard({ allow: ['crm.localhost'], lookup: refuse });
  for (const url of [
    '',
    'crm.example',
    'ftp://crm.example/',
    'https://user:pw@crm.example/',
    'file:///etc/passwd',
  ]) {
    test(`"${url}" is refused`, () => assert.throws(() => guard.assertUrl(url), withCode('invalid_url')));
  }
  test('localhost is refused by name, unless it is listed', () => {
    assert.throws(() => guard.assertUrl('http://localhost:3000/'), withCode('private_address'));
    assert.throws(() => guard.assertUrl('http://x.localhost/'), withCode('private_address'));
    assert.equal(guard.assertUrl('http://crm.localhost/').hostname, 'crm.localhost');
    const loopback = createNetGuard({ allow: ['127.0.0.0/8'], lookup: refuse });
    assert.equal(loopback.assertUrl('http://localhost:3000/').port, '3000');
  });
  test('a name is taken unseen', () => {
    assert.equal(guard.assertUrl('https://hooks.crm.example/in?x=1').pathname, '/in');
  });
});

describe('the agent connects to the address that was checked', () => {
  let server: Server;
  let port: number;
  const reached: string[] = [];
  before(async () => {
    server = createServer((incoming, response) => {
      reached.push(`${incoming.socket.localAddress} ${incoming.headers.host}`);
      response.writeHead(incoming.url === '/away' ? 302 : 200, { location: 'http://10.0.0.1/' }).end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  test('rebinding: the second answer of the name server is never asked for', async () => {
    const { lookup, asked } = answering({ 'crm.example': [['127.0.0.2'], ['127.0.0.1']] });
    const guard = createNetGuard({ allow: ['127.0.0.2'], lookup });
    const agent = guard.agent({});
    const { statusCode, body } = await request(`http://crm.example:${port}/`, { dispatcher: agent });
    await body.dump();
    assert.equal(statusCode, 200);
    assert.deepEqual(reached.splice(0), [`127.0.0.2 crm.example:${port}`]);
    assert.deepEqual(asked, ['crm.example']);
    await agent.close();
    const later = guard.agent({});
    await assert.rejects(
      request(`http://crm.example:${port}/`, { dispatcher: later }),
      withCode('private_address'),
      'a new connection is judged anew',
    );
    assert.deepEqual(reached, []);
    await later.close();
  });

  test('a redirect is not followed', async () => {
    const guard = createNetGuard({ allow: ['127.0.0.1'], lookup: refuse });
    const agent = guard.agent({});
    const { statusCode, body } = await request(`http://127.0.0.1:${port}/away`, { dispatcher: agent });
    await body.dump();
    assert.equal(statusCode, 302);
    assert.equal(reached.splice(0).length, 1);
    await agent.close();
  });
});
