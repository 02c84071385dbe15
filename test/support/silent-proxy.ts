import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to a server on loopback that can fall silent, as a firewall does that forgets its connections, or be cut. */
export type SilentProxy = {
  port: number;
  /** From now on nothing passes on any connection, and neither side is told. */
  fallSilent(): void;
  /** From now on every connection is closed, those of before and new ones, as by a server that is down. */
  cut(): void;
  /** New connections work again; those of before stay silent. */
  recover(): void;
  /** How many connections it has taken so far. */
  taken(): number;
  stop(): Promise<void>;
};

export async function startSilentProxy(targetPort: number): Promise<SilentProxy> {
  const sockets = new Set<Socket>();
  let silent = false;
  let isCut = false;
  let taken = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    taken += 1;
    keep(client);
    if (isCut) client.destroy();
    if (silent || isCut) return;
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
    cut: () => {
      isCut = true;
      for (const socket of sockets) socket.destroy();
    },
    recover: () => {
      silent = false;
      isCut = false;
    },
    taken: () => taken,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
