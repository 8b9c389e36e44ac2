/** `npm run doctor`: prints which lanes work here, on what, why others do not, and the step that mends each. */

import { describeMachine, diagnoseLanes } from '../src/lanes/diagnose.ts';

const [lanes, machine] = await Promise.all([diagnoseLanes(), describeMachine()]);
const width = Math.max(...Object.keys(machine).map((name) => name.length));
for (const [name, value] of Object.entries(machine)) console.log(`${name.padEnd(width)}  ${value}`);
console.log();
const rows = [
  ['lane', 'works', 'device', 'version', 'remark', 'to mend'],
  ...lanes.map((row) => [row.lane, row.available ? 'yes' : 'no', row.device, row.version, row.remark, row.fix]),
];
const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
for (const row of rows)
  console.log(
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
