import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publicUrl, startPages } from './pages.ts';

test('an address that asks for pages without end is turned away for a moment, and no other is', async () => {
  const t = await startPages();
  try {
    const ask = (client: string) => t.browser({ client }).get(`${publicUrl}/nowhere`);
    let answer = await ask('192.0.2.66');
    for (let n = 0; n < 3_000 && answer.status === 404; n += 1) answer = await ask('192.0.2.66');
    assert.deepEqual([answer.status, answer.title], [429, 'Too much at once']);
    assert.equal(answer.headers.get('retry-after'), '1');
    assert.equal((await ask('192.0.2.67')).status, 404);
  } finally {
    await t.close();
  }
});
