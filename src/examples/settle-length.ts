/** How long sequences are where the configuration leaves it to the rows: sequence.length auto. */
import type { FileTask } from './file-tasks.ts';
import type { OverlongPolicy } from './instruction.ts';

/** Share of the rows that the length must hold: one very long row should not make every step dear. */
const HELD_SHARE = 0.995;
const STEP = 64;
/** Documents are cut into rows of any length without a loss. */
const LONGEST_FOR_TEXT = 512;

const overlongWords: Readonly<Record<OverlongPolicy, string>> = {
  error: 'an error',
  drop: 'left out',
  left: 'cut at the beginning',
  right: 'cut at the end',
  turns: 'their first turns are left out, or all of them where the last turn is too long',
};

/** The part of a configuration that is settled. */
interface SequenceSettings {
  readonly length: number | 'auto';
  readonly overlong: OverlongPolicy;
}

/** A configuration whose length is a number. */
type Settled<Config> = Config & { readonly sequence: { readonly length: number } };

/** What a run knows of its length. */
interface LengthOfRun {
  /** That of the run to resume. */
  readonly before?: unknown;
  /** The longest of some lengths that there is memory for; left out where nothing is trained. */
  readonly longestOf?: (lengths: readonly number[]) => Promise<number>;
}

/**
 * A configuration with its length as a number; for auto the smallest multiple of 64 that holds 99.5 % of the rows, within the model's
 * context and the memory.
 *
 * Returned with lines on what the files were taken for, and on how the length was chosen.
 *
 * rows of 100, 120 and 300 tokens, context 2,048  ->  320
 */
export async function settleLength<Config extends { readonly sequence: SequenceSettings }>(
  config: Config,
  files: readonly FileTask[],
  context: number,
  { before, longestOf }: LengthOfRun = {},
): Promise<{ config: Settled<Config>; lines: string[] }> {
  const { length: asked, overlong } = config.sequence;
  const settled = (length: number, reasons: readonly string[]) => {
    const chosen = asked === 'auto' ? [describe(length, files, overlong, reasons)] : [];
    const lines = [...files.flatMap((file) => file.lines), ...chosen];
    return { config: { ...config, sequence: { ...config.sequence, length } }, lines };
  };
  if (asked !== 'auto') return settled(asked, []);
  if (typeof before === 'number') return settled(before, ['as the run began']);
  const needed = Math.max(STEP, ...files.map(neededBy));
  const wanted = Math.min(context, needed);
  const shorter = Array.from({ length: Math.ceil(wanted / STEP) - 1 }, (_, i) => (i + 1) * STEP);
  const length = longestOf === undefined ? wanted : await longestOf([...shorter, wanted]);
  return settled(length, [
    ...(wanted < needed ? [`${needed} are wanted, and the model's context is ${context}`] : []),
    ...(length < wanted ? [`${wanted} are wanted, and the memory allows no more`] : []),
  ]);
}

function neededBy({ task, lengths }: FileTask): number {
  const sorted = [...lengths].sort((a, b) => a - b);
  const held = sorted[Math.ceil(HELD_SHARE * sorted.length) - 1] ?? STEP;
  const needed = STEP * Math.ceil(held / STEP);
  return isText(task) ? Math.min(LONGEST_FOR_TEXT, needed) : needed;
}

const isText = ({ templates }: FileTask['task']): boolean => templates.templates.every(({ kind }) => kind === 'text');

function describe(
  length: number,
  files: readonly FileTask[],
  overlong: OverlongPolicy,
  reasons: readonly string[],
): string {
  const rows = files.filter(({ task }) => !isText(task)).flatMap(({ lengths }) => lengths);
  const longer = rows.filter((tokens) => tokens > length);
  const count = (value: number): string => value.toLocaleString('en-US');
  const longest = longer.reduce((most, tokens) => Math.max(most, tokens), 0);
  const fate = `${longer.length === 1 ? 'is' : 'are'} longer (up to ${count(longest)}): ${overlongWords[overlong]} (sequence.overlong)`;
  const parts = [
    ...reasons,
    ...(rows.length > 0 ? [`${count(rows.length - longer.length)} of ${count(rows.length)} rows fit`] : []),
    ...(longer.length > 0 ? [`${count(longer.length)} ${fate}`] : []),
    ...(rows.length < files.reduce((sum, { lengths }) => sum + lengths.length, 0)
      ? ['longer texts are cut into rows']
      : []),
  ];
  return `sequence  ${count(length)} tokens (auto): ${parts.join('; ')}`;
}
