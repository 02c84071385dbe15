import { exampleEnvironment } from './config.ts';

/** One command: what it does, in a line, and what it prints. */
type Command = { explain: string; run(words: readonly string[]): string };

/** Every command of `npm run twoway -- <command>`. */
const commands: Readonly<Record<string, Command>> = {
  'example-env': {
    explain: 'Print every setting with its meaning: the text of config/example.env.',
    run: exampleEnvironment,
  },
  help: { explain: 'Print this list.', run: help },
};

function help(): string {
  const lines = Object.entries(commands).map(([name, { explain }]) => `  ${name.padEnd(14)}${explain}`);
  return `Usage: npm run twoway -- <command>\n\n${lines.join('\n')}\n`;
}

const [name = 'help', ...words] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) {
  process.stderr.write(`There is no command '${name}'.\n${help()}`);
  process.exitCode = 2;
} else {
  process.stdout.write(command.run(words));
}
