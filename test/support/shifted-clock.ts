// Loaded into a gateway's process before it (NODE_OPTIONS=--import): at SIGUSR2 the time of day is set, as an administrator
// or a bad time server sets it, to so many milliseconds off as the file at SHIFTED_CLOCK says. No time passes.
import { readFileSync } from 'node:fs';

const Real = Date;
let shiftMs = 0;

class Shifted extends Real {
  constructor(...given: [] | [number | string | Date]) {
    if (given.length === 0) super(Real.now() + shiftMs);
    else super(...given);
  }

  static override now(): number {
    return Real.now() + shiftMs;
  }
}

globalThis.Date = Shifted as DateConstructor;
process.on('SIGUSR2', () => {
  shiftMs = Number(readFileSync(process.env['SHIFTED_CLOCK'] ?? '', 'utf8'));
});
