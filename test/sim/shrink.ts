import type { History } from './steps.ts';

/** The shortest prefix that fails, and then without every step, and every fault, that it fails without. */
export async function shrink(
  history: History,
  fails: (history: History) => Promise<boolean>,
): Promise<History> {
  const { cast } = history;
  let { steps } = history;
  for (let end = 1; end < steps.length; end += 1) {
    if (await fails({ cast, steps: steps.slice(0, end) })) steps = steps.slice(0, end);
  }
  for (let changed = true; changed;) {
    changed = false;
    for (let at = steps.length - 1; at >= 0; at -= 1) {
      for (const less of [steps.toSpliced(at, 1), withoutFault(steps, at)]) {
        if (less === null || !(await fails({ cast, steps: less }))) continue;
        steps = less;
        changed = true;
        break;
      }
    }
  }
  return { cast, steps };
}

function withoutFault(steps: History['steps'], at: number): History['steps'] | null {
  const step = steps[at];
  if (step === undefined || !('fault' in step) || step.fault === null) return null;
  return steps.with(at, { ...step, fault: null });
}
