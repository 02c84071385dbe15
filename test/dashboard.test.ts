import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { format } from 'prettier';
import { meters } from '../src/lib/meters.ts';

const read = (name: string) => readFile(new URL(`../docker/${name}`, import.meta.url), 'utf8');

/** Prometheus' own figure of a scrape, and no name of ours. */
const foreign: readonly string[] = ['up'];

/** What a figure is called in an expression: a histogram by its parts. */
const names = new Map(
  meters.flatMap((meter) => {
    const { name, type } = meter;
    const shown =
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => `${name}${part}`) : [name];
    return shown.map((one) => [one, meter] as const);
  }),
);

/** Figures that an expression asks for, each with the labels that it picks by. */
function askedFor(expression: string): { name: string; labels: string[] }[] {
  const found = expression.matchAll(/\b((?:twoway|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g);
  return [...found].map(([, name = '', picked = '']) => ({
    name,
    labels: [...picked.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
  }));
}

function assertKnown(expression: string): void {
  const asked = askedFor(expression);
  assert.ok(asked.length > 0, `no figure in ${expression}`);
  for (const { name, labels } of asked) {
    if (foreign.includes(name)) continue;
    const meter = names.get(name) ?? assert.fail(`there is no ${name}: ${expression}`);
    // What the scrape adds to every series.
    const own = labels.filter((label) => !['job', 'instance'].includes(label));
    for (const label of own) assert.ok(meter.labels.includes(label), `${name} has no label ${label}`);
  }
}

describe('what docker/ has for those who watch', () => {
  test('every panel of the dashboard asks for figures that there are, and every figure of ours is on one', async () => {
    type Panel = { id: number; title: string; type: string; targets?: { expr: string }[] };
    const { panels } = JSON.parse(await read('grafana-dashboard.json')) as { panels: Panel[] };
    const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    for (const expression of expressions) assertKnown(expression);
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'ids are given once');
    const shown = new Set(expressions.flatMap(askedFor).map(({ name }) => names.get(name)?.name));
    // These are for alerts, or for whoever looks for a restart.
    const elsewhere = [
      'twoway_database_up',
      'twoway_mailboxes_behind',
      'twoway_spool_bytes',
      'process_start_time_seconds',
    ];
    const missing = meters.map(({ name }) => name).filter((name) => !shown.has(name));
    assert.deepEqual(missing.sort(), elsewhere.sort());
  });

  test('every alert asks for figures that there are, and says what to do', async () => {
    const text = await read('alert-rules.yaml');
    // Throws where it is no YAML.
    assert.equal(await format(text, { parser: 'yaml', singleQuote: true, printWidth: 110 }), text);
    const rules = text.split(/^ {6}- alert: /m).slice(1);
    assert.ok(rules.length > 10);
    const alerts = new Set(rules.map((rule) => /^\w+/.exec(rule)?.[0]));
    assert.equal(alerts.size, rules.length, 'names are given once');
    for (const rule of rules) {
      // Folded lines of YAML are one line.
      const flat = rule.replaceAll(/\s*\n\s+/g, ' ');
      const expression =
        / expr: '?(.+?)'? for: \d+[mh] /.exec(flat)?.[1] ?? assert.fail(`no expression: ${rule}`);
      assertKnown(expression);
      assert.match(flat, / severity: (?:warning|critical) annotations: summary: .+ description: .+/);
    }
  });
});
