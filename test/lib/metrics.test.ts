import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { counter, gauge, histogram, metricsText } from '../../src/lib/metrics.ts';
import type { Metric, Reading } from '../../src/lib/metrics.ts';

const linesOf = (metric: Metric, readings: readonly Reading[] = []) =>
  metricsText([metric], new Map([[metric, readings]]))
    .trimEnd()
    .split('\n');

describe('figures in the text format of Prometheus', () => {
  test('a counter: a line for each series, and one that has no labels from the start', () => {
    const mails = counter({ name: 'mails_total', help: 'Mails.', labels: ['kind', 'end'] });
    mails.add(['letter', 'sent']);
    mails.add(['letter', 'sent'], 2);
    mails.add(['letter', 'failed']);
    assert.deepEqual(linesOf(mails), [
      '# HELP mails_total Mails.',
      '# TYPE mails_total counter',
      'mails_total{kind="letter",end="sent"} 3',
      'mails_total{kind="letter",end="failed"} 1',
    ]);
    assert.equal(linesOf(counter({ name: 'none_total', help: 'None.' })).at(-1), 'none_total 0');
  });

  test('a histogram: parts that add up, in seconds; what is below 0 counts as 0', () => {
    const took = histogram({ name: 'took_seconds', help: 'Time.', labels: ['step'] });
    for (const seconds of [-1, 0.005, 0.02, 4_000]) took.observe(['stored'], seconds);
    const lines = linesOf(took).slice(2);
    const upTo = (le: string) => lines.find((line) => line.includes(`le="${le}"`));
    assert.equal(upTo('0.005'), 'took_seconds_bucket{step="stored",le="0.005"} 2');
    assert.equal(upTo('0.01'), 'took_seconds_bucket{step="stored",le="0.01"} 2');
    assert.equal(upTo('0.025'), 'took_seconds_bucket{step="stored",le="0.025"} 3');
    assert.equal(upTo('3600'), 'took_seconds_bucket{step="stored",le="3600"} 3');
    assert.equal(upTo('+Inf'), 'took_seconds_bucket{step="stored",le="+Inf"} 4');
    assert.deepEqual(lines.slice(-2), [
      'took_seconds_sum{step="stored"} 4000.025',
      'took_seconds_count{step="stored"} 4',
    ]);
  });

  test('a gauge that was not read is named and has no line; values of labels are escaped', () => {
    const waiting = gauge({ name: 'waiting', help: 'Who waits.', labels: ['state'] });
    assert.deepEqual(linesOf(waiting), ['# HELP waiting Who waits.', '# TYPE waiting gauge']);
    assert.equal(
      linesOf(waiting, [{ labels: ['a"b\\c\nd'], value: 1.5 }]).at(-1),
      String.raw`waiting{state="a\"b\\c\nd"} 1.5`,
    );
  });

  test('a label that never ends is counted as other from the 500th value on', () => {
    const endless = counter({ name: 'endless_total', help: 'Endless.', labels: ['word'] });
    for (let n = 0; n < 600; n += 1) endless.add([`word${n}`]);
    const lines = linesOf(endless).slice(2);
    assert.equal(lines.length, 501);
    assert.equal(lines.at(-1), 'endless_total{word="other"} 100');
  });
});
