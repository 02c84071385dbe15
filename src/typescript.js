// Loaded before everything else: lets Node strip the types of our modules itself, and leaves JSX to tsx.
//
// tsx (4.23.15) has every function that is made keep its name, by a property of its own: 250 bytes and half a
// microsecond for each closure, of which an idle mailbox holds a hundred. It also reads and parses all that our
// libraries load, which was half of a start. So it is shown JSX alone, in a namespace of its own, and is loaded with the
// first of it.
//
// This file is JavaScript: what strips types takes longer to load than all else here.
// @ts-check
import { readFileSync } from 'node:fs';
import { createRequire, enableCompileCache, registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';

// What was stripped and compiled is kept: a start takes a third less of processor. Where nothing can be written, it is
// compiled anew. Not in the folder for temporary files, where others could leave code to be run.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url)));

registerHooks({
  // An import names the file as it is: nothing is to be looked for.
  resolve: (specifier, context, next) => {
    if (!/^\..*\.tsx?$/.test(specifier)) return next(specifier, context);
    if (specifier.endsWith('.tsx')) compileJsx();
    return { url: new URL(specifier, context.parentURL).href, shortCircuit: true };
  },
  load: (url, context, next) =>
    url.startsWith('file:') && url.endsWith('.ts')
      ? { format: 'module-typescript', source: readFileSync(fileURLToPath(url)), shortCircuit: true }
      : next(url, context),
});

let isJsxCompiled = false;

/** From the first call on, modules may be JSX. */
function compileJsx() {
  if (isJsxCompiled) return;
  isJsxCompiled = true;
  // Where a preload is TypeScript tsx would take another way, of which this form of it lacks a file (4.23.15).
  const { NODE_OPTIONS } = process.env;
  delete process.env['NODE_OPTIONS'];
  /** @type {typeof import('tsx/esm/api')} */
  const { register } = createRequire(import.meta.url)('tsx/esm/api');
  if (NODE_OPTIONS !== undefined) process.env['NODE_OPTIONS'] = NODE_OPTIONS;
  register({ namespace: 'jsx' });
  // The module keeps its own name: tsx alone sees the one with the namespace.
  registerHooks({
    load: (url, context, next) =>
      url.endsWith('.tsx')
        ? next(`${url}?tsx-namespace=jsx`, { ...context, format: 'module' })
        : next(url, context),
  });
}
