import { ConfigError, exampleEnvironment, readConfig } from './config.ts';
import { messageOf } from './lib/failure.ts';
import type { MessageId } from './lib/id.ts';

/** What a command says, and the exit code of the process. */
type Said = { text: string; exitCode: 0 | 1 };

/**
 * One command: what it does, in a line; `words` are what was written behind its name. Each loads what it needs by
 * itself: together that takes longer than most of them.
 */
type Command = { explain: string; run(words: readonly string[]): Said | Promise<Said> };

/** Every command of `npm run twoway -- <command>`. */
const commands: Readonly<Record<string, Command>> = {
  'example-env': {
    explain: 'Print every setting with its meaning: the text of config/example.env.',
    run: () => say(exampleEnvironment()),
  },
  administrator: {
    explain:
      'Make an administrator of the pages, or let one in again who lost password or second factor: `administrator add ann@operator.example` prints a link to set a password.',
    run: runAdministrator,
  },
  'example-providers': {
    explain: 'Print the limits of the providers as they come: the text of config/providers.json.',
    run: runExampleProviders,
  },
  check: {
    explain:
      'Look for data that contradicts itself; `check blobs` also for mail that is missing on disk. Changes nothing.',
    run: runCheck,
  },
  doctor: {
    explain:
      'Look whether DNS, certificate, ports, disk and database are as the gateway needs them, with the fix for what is not. Changes nothing.',
    run: runDoctor,
  },
  explain: {
    explain:
      'Tell why a message is here, or is not: `explain msg_…`, a Message-ID, or an address. Changes nothing.',
    run: runExplain,
  },
  'move-to-postgres': {
    explain:
      'Move the embedded database of TWOWAY_DATA_DIR into the empty one of TWOWAY_DATABASE_URL, while the gateway is stopped.',
    run: runMove,
  },
  replay: {
    explain:
      "Ask today's rules about earlier decisions: `replay msg_…`, or `replay 2026-11-01` for all since then. Changes nothing.",
    run: runReplay,
  },
  restored: {
    explain:
      'After a backup was restored, and before the gateway starts on it: keep what was sent since from going out again, and events from having the same numbers.',
    run: runRestored,
  },
  help: { explain: 'Print this list.', run: () => say(help()) },
};

function say(text: string): Said {
  return { text, exitCode: 0 };
}

async function runAdministrator([what, email, ...more]: readonly string[]): Promise<Said> {
  if (what !== 'add' || email === undefined || more.length > 0)
    throw new Error("administrator wants 'add' and an e-mail address");
  const { addAdministratorByCommand } = await import('./administration.ts');
  return say(await addAdministratorByCommand(readConfig(process.env), email));
}

async function runExampleProviders(): Promise<Said> {
  const { exampleFigures } = await import('./provider/figures.ts');
  const { resolveProvider } = await import('./provider/providers.ts');
  return say(exampleFigures((name) => resolveProvider(name)));
}

async function runCheck(words: readonly string[]): Promise<Said> {
  const unknown = words.find((word) => word !== 'blobs');
  if (unknown !== undefined) throw new Error(`check knows no '${unknown}', only 'blobs'`);
  const { check } = await import('./check.ts');
  const { text, isSound } = await check(readConfig(process.env), { blobs: words.includes('blobs') });
  return { text, exitCode: isSound ? 0 : 1 };
}

async function runDoctor([unknown]: readonly string[]): Promise<Said> {
  if (unknown !== undefined) throw new Error(`doctor knows no '${unknown}'`);
  const { doctor } = await import('./doctor.ts');
  const { text, isSound } = await doctor(readConfig(process.env));
  return { text, exitCode: isSound ? 0 : 1 };
}

async function runExplain([what, ...more]: readonly string[]): Promise<Said> {
  if (what === undefined || more.length > 0) {
    throw new Error('explain wants the id of a message (msg_…), a Message-ID or an address');
  }
  const { explainMail } = await import('./explain.ts');
  const { text, isFound } = await explainMail(readConfig(process.env), what);
  return { text, exitCode: isFound ? 0 : 1 };
}

async function runMove([unknown]: readonly string[]): Promise<Said> {
  if (unknown !== undefined) throw new Error(`move-to-postgres knows no '${unknown}'`);
  const { moveToPostgres } = await import('./move.ts');
  const { text, isSound } = await moveToPostgres(readConfig(process.env));
  return { text, exitCode: isSound ? 0 : 1 };
}

async function runReplay([what, ...more]: readonly string[]): Promise<Said> {
  const since = Date.parse(what ?? '');
  const isMessage = what?.startsWith('msg_') === true;
  if (what === undefined || more.length > 0 || (!isMessage && Number.isNaN(since))) {
    throw new Error('replay wants the id of a message (msg_…) or a time since which (2026-11-01T08:00:00Z)');
  }
  const of = isMessage ? { messageId: what as MessageId } : { since };
  const { replayDecisions } = await import('./replay.ts');
  const { text, differences } = await replayDecisions(readConfig(process.env), of);
  return { text, exitCode: differences === 0 ? 0 : 1 };
}

async function runRestored([unknown]: readonly string[]): Promise<Said> {
  if (unknown !== undefined) throw new Error(`restored knows no '${unknown}'`);
  const { settleAfterRestore } = await import('./restored.ts');
  return say(await settleAfterRestore(readConfig(process.env)));
}

function help(): string {
  const lines = Object.entries(commands).map(([name, { explain }]) => `  ${name.padEnd(19)}${explain}`);
  return `Usage: npm run twoway -- <command>\n\n${lines.join('\n')}\n`;
}

async function main(): Promise<void> {
  // As the gateway does it.
  process.umask(0o077);
  const [name = 'help', ...words] = process.argv.slice(2);
  const command = commands[name];
  if (command === undefined) {
    process.stderr.write(`There is no command '${name}'.\n${help()}`);
    process.exitCode = 2;
    return;
  }
  const { text, exitCode } = await command.run(words);
  process.stdout.write(text);
  process.exitCode = exitCode;
}

main().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : `The command could not be run: ${messageOf(error)}`}\n`,
  );
  process.exitCode = 2;
});
