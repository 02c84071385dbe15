import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { startIntake } from '../../src/intake/server.ts';

async function say(socket: Socket, line: string): Promise<string> {
  socket.write(`${line}\r\n`);
  const [answer] = (await once(socket, 'data')) as [Buffer];
  return answer.toString();
}

async function session(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'data');
  assert.match(await say(socket, 'EHLO sender.example'), /^250/);
  assert.match(await say(socket, 'MAIL FROM:<ann@customer.example>'), /^250/);
  return socket;
}

test('a sender that is cut off in the middle ends nothing but its own session', async () => {
  const intake = await startIntake({ host: '127.0.0.1', port: 0 });
  const cut = await session(intake.port);
  cut.resetAndDestroy();
  const next = await session(intake.port);
  assert.match(await say(next, 'RCPT TO:<nobody@log.example>'), /^550 5\.1\.1/);
  next.destroy();
  await intake.stop();
});
