import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readConfig } from '../src/config.ts';
import { startGateway } from '../src/gateway.ts';

test('a first start that fails at a port leaves the first key to the next start, which shows it once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'twoway-first-key-'));
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  const start = (httpPort: number) =>
    startGateway(
      readConfig({
        TWOWAY_DATA_DIR: directory,
        TWOWAY_HTTP_PORT: String(httpPort),
        TWOWAY_SMTP_PORT: '0',
        TWOWAY_SANDBOX: 'off',
        TWOWAY_LOG_LEVEL: 'error',
      }),
    );
  try {
    await assert.rejects(start((busy.address() as AddressInfo).port), /EADDRINUSE/);
    const first = await start(0);
    assert.match(first.firstKey ?? '', /^tw_/);
    await first.stop();
    const second = await start(0);
    assert.equal(second.firstKey, null);
    await second.stop();
  } finally {
    busy.close();
    await rm(directory, { recursive: true });
  }
});
