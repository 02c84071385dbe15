// Loaded into the gateway's process before it (NODE_OPTIONS=--import): answers what that process holds.
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What a process holds: megabytes, descriptors by what they lead to, and what keeps its loop alive, by kind. */
export type Holding = {
  heldMb: number;
  residentMb: number;
  descriptors: number;
  resources: Record<string, number>;
  listeners: number;
};

async function look(): Promise<Holding> {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  for (let round = 0; round < 4; round += 1) {
    collect();
    await wait(100);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return {
    heldMb: (heapUsed + external) / 1024 ** 2,
    residentMb: rss / 1024 ** 2,
    descriptors: readdirSync('/proc/self/fd').length,
    resources,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

const server = createServer((_request, response) => {
  void look().then((holding) => response.end(JSON.stringify(holding)));
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`what is held: http://127.0.0.1:${(server.address() as AddressInfo).port}/\n`);
});
server.unref();
