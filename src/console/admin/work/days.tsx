import type { DecisionDay } from '../../../store/decision-counts.ts';
import { currentLanguage } from '../../language.ts';
import { Table } from '../../parts.tsx';
import { number, words } from '../../texts/texts.ts';

/** What is shown of a day, from the left of its bar to the right. */
const kinds = ['stored', 'skipped', 'held', 'failed'] as const;

/**
 * What was decided day by day, the oldest first: a table, with a bar in each line of it for whoever sees. `atLeast`:
 * today had more.
 */
export function Days(props: {
  label: string;
  days: readonly DecisionDay[];
  today: string;
  atLeast?: boolean;
}) {
  const { label, days, today, atLeast = false } = props;
  const most = Math.max(1, ...days.map(allOf));
  return (
    <Table label={label} class="days">
      <thead>
        <tr>
          <th scope="col">{words('days.day')}</th>
          <td aria-hidden="true" />
          {kinds.map((kind) => (
            <th scope="col" class="number">
              <span class={`key ${kind}`} />
              {words(`days.${kind}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {days.map((day) => (
          <tr>
            <th scope="row">{day.day === today ? words('days.today') : shownDay(day.day)}</th>
            <td class="bar" aria-hidden="true">
              <Bar day={day} most={most} />
            </td>
            {kinds.map((kind) => (
              <td class="number">
                <span class={`key ${kind}`} />
                {number(day[kind])}
                {atLeast && day.day === today ? '+' : ''}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </Table>
  );
}

const barWidth = 100;

function Bar({ day, most }: { day: DecisionDay; most: number }) {
  let at = 0;
  return (
    <svg viewBox={`0 0 ${barWidth} 10`} preserveAspectRatio="none" focusable="false">
      {kinds.map((kind) => {
        const width = (day[kind] / most) * barWidth;
        const x = at;
        at += width;
        return width === 0 ? null : (
          <rect class={kind} x={x.toFixed(2)} y="0" width={width.toFixed(2)} height="10" />
        );
      })}
    </svg>
  );
}

function allOf(day: DecisionDay): number {
  return kinds.reduce((sum, kind) => sum + day[kind], 0);
}

function shownDay(day: string): string {
  return new Intl.DateTimeFormat(currentLanguage(), {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    timeZone: 'UTC',
  }).format(new Date(`${day}T00:00:00Z`));
}
