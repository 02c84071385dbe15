import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to a server on loopback that can fall silent, as a firewall does that forgets its connections. */
export type SilentProxy = {
  port: number;
  /** From now on nothing passes on any connection, and neither side is told. */
  fallSilent(): void;
  /** New connections work again; those of before stay silent. */
  recover(): void;
  /** How many connections it has taken so far. */
  taken(): number;
  stop(): Promise<void>;
};

export async function startSilentProxy(targetPort: number): Promise<SilentProxy> {
  const sockets = new Set<Socket>();
  let silent = false;
  let taken = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    taken += 1;
    keep(client);
    if (silent) return;
    const target = connect(targetPort, '127.0.0.1');
    keep(target);
    client.pipe(target);
    target.pipe(client);
    client.on('close', () => target.destroy());
    target.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    fallSilent: () => {
      silent = true;
      for (const socket of sockets) socket.unpipe().pause();
    },
    recover: () => {
      silent = false;
    },
    taken: () => taken,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
