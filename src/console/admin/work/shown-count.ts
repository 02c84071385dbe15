import { countMax } from '../../../store/overview.ts';
import { number } from '../../texts/texts.ts';

/** A count as it is shown: one that is as high as is counted may be more. */
export function shownCount(count: number): string {
  return `${number(count)}${count >= countMax ? '+' : ''}`;
}
