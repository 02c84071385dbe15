import { ConfigError, readConfig } from './config.ts';
import { startGateway } from './gateway.ts';
import type { Gateway } from './gateway.ts';
import { messageOf } from './lib/failure.ts';

/**
 * `npm start`: runs the gateway until SIGINT or SIGTERM.
 *
 * Its --max-semi-space-size keeps what V8 takes for young objects at 32 MB. Node (24.21) would let it grow to
 * 128 MB, and keep them, which saves no time: with 1,000 idle mailboxes the process took 390 MB in place
 * of 280, and after a long catch-up 950 MB in place of 365. With half as much, storing takes a quarter longer.
 */
async function main(): Promise<void> {
  // What is made is for this user alone, since stored mail is in clear: PGlite (0.5.16) opens its files to everybody.
  process.umask(0o077);
  const config = readConfig(process.env);
  const gateway = await startGateway(config);
  process.stdout.write(welcome(gateway, config.DATABASE_URL === null));
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM'];
  await new Promise<void>((resolve) => signals.forEach((signal) => process.once(signal, () => resolve())));
  process.stdout.write('Twoway is stopping: what is under way ends first. Once more ends it at once.\n');
  await gateway.stop();
  process.stdout.write('Twoway has stopped.\n');
}

/** What a person reads at the start: where things are, and what to try. */
function welcome(gateway: Gateway, embedded: boolean): string {
  const lines = [
    '',
    `Twoway is running.`,
    `  API and pages   ${gateway.url}  (documentation: ${gateway.url}/docs)`,
    ...(gateway.smtpPort === null ? [] : [`  SMTP            port ${gateway.smtpPort}`]),
    ...(embedded
      ? ['  Database        embedded; for a trial and small use, it does not survive a power cut']
      : []),
    ...(gateway.sandboxUrl === null ? [] : [`  Sandbox mail    ${gateway.sandboxUrl}`]),
    '',
    ...(gateway.firstKey === null
      ? []
      : [`The administrator's API key, shown this once:`, '', `  ${gateway.firstKey}`, '']),
    ...(gateway.firstLink === null
      ? []
      : [
          `The pages of the administration: set your password by this link, once, within a day:`,
          '',
          `  ${gateway.firstLink}`,
          '',
        ]),
    `Try it: the five-minute tour is in README.md, section "Tour".`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : `Twoway could not start: ${messageOf(error)}`}\n`,
  );
  process.exit(1);
});
