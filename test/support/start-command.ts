import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** What Node is given before a program of ours, wherever it is started. */
export const typescript = ['--import', new URL('../../src/typescript.js', import.meta.url).href];

/** What a script of package.json gives to Node: options, and last the program. */
export function nodeArguments(script: 'start' | 'bench'): string[] {
  const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    scripts: Record<typeof script, string>;
  };
  // `exec` puts Node in the place of the shell, which would not pass signals on.
  const [node, ...given] = scripts[script].replace(/^exec /, '').split(' ');
  assert.equal(node, 'node');
  return given;
}
