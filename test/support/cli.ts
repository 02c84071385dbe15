import { execFile } from 'node:child_process';
import { typescript } from './start-command.ts';

/** What `npm run twoway -- …` says, and its exit code. */
export function twoway(
  words: string[],
  settings: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('TWOWAY_'));
  const env = { ...Object.fromEntries(inherited), ...settings };
  return new Promise((resolve) => {
    const args = [...typescript, 'src/cli.ts', ...words];
    const child = execFile(process.execPath, args, { env }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}
