// A process of its own that runs one set of servers with its identity provider: installs what is missing,
// prints the set's description as one line of JSON, and stops everything when its input ends, so also
// when whoever started it was killed.
import { startIdentityProvider } from './identity.ts';
import { installServers } from './install.ts';
import { startServers } from './servers.ts';

const ended = new Promise<void>((resolve) => {
  process.stdin.once('end', resolve).resume();
});
await installServers();
const identity = await startIdentityProvider();
const servers = await startServers({ identityUrl: identity.url });
console.log(JSON.stringify(servers.info));
await ended;
await servers.stop();
await identity.stop();
