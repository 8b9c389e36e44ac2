/**
 * Preference pairs from rated texts: of two texts of a split, the one that people rated higher is chosen.
 *
 *   Run      npm run rating-pairs -- data/build/public/vader.arrow --rating rating --difference 2 --to data/build/public/vader-pairs.arrow
 *   Reads    a table with split, a text and a number (npm run import)
 *   Writes   a table of pairs for stage 2; each text stands in few pairs, and splits stay apart
 */
import { existsSync } from 'node:fs';
import { ConfigError, DataError } from '../src/errors.ts';
import { seededRandom } from '../src/random.ts';
import { runMain } from '../src/run/program.ts';
import { readTable, writeTable } from '../src/tables/arrow-file.ts';
import { float32, float64, utf8 } from '../src/tables/columns.ts';
import { countAt, describeTally, type Tally, tallyEntry } from '../src/tables/tally.ts';
import { type Flags, flagHelp, parseFlags } from '../src/terminal/flags.ts';

const flags = {
  to: { kind: 'path', description: 'Table to write; it must not exist.' },
  text: { kind: 'text', default: 'text', description: 'Column of the texts.' },
  rating: { kind: 'text', default: 'rating', description: 'Column of the ratings.' },
  difference: { kind: 'number', default: 1, min: 0, description: 'Smallest difference of the two ratings.' },
  pairs: { kind: 'integer', default: 4000, min: 1, description: 'Pairs of the train split; the others get an eighth.' },
  prompt: { kind: 'text', default: 'Say something.', description: 'What both texts answer.' },
  seed: { kind: 'integer', default: 1, description: 'Seeds the draw.' },
} as const satisfies Flags;

const usage = 'Usage: npm run rating-pairs -- <table> --to <table> [options]';

const pairColumns = {
  id: utf8('Id of the pair.'),
  split: utf8('Split of both texts.'),
  prompt: utf8('What both texts answer.'),
  chosen: utf8('The text that was rated higher.'),
  rejected: utf8('The other text.'),
  rating_chosen: float32('Rating of the chosen text.'),
  rating_rejected: float32('Rating of the other text.'),
};

const splits = ['train', 'validation', 'test'];

interface Rated {
  readonly where: string;
  readonly split: string;
  readonly text: string;
  readonly rating: number;
}

/**
 * The command.
 * @throws ConfigError or DataError where something is missing, taken, or no two texts differ enough
 */
export async function ratingPairs(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const { values, positionals, help } = parseFlags(argv, flags);
  if (help) return say([usage, '', 'Options:', ...flagHelp(flags)].join('\n'));
  const [table, ...more] = positionals;
  const { to } = values;
  if (table === undefined || to === undefined || more.length > 0)
    throw new ConfigError(`rating-pairs: expected a table and --to. ${usage}`);
  if (existsSync(to)) throw new DataError(`--to ${to}: is there already; expected a new file. Choose another name.`);
  const columns = { split: utf8('Split.'), [values.text]: utf8('Text.'), [values.rating]: float64('Rating.') };
  const rows = readTable(table, columns, 'npm run import').rows.map((row, index) => {
    const found = row as Record<string, string | number>;
    return {
      where: `row ${index}`,
      split: String(found.split),
      text: String(found[values.text]),
      rating: Number(found[values.rating]),
    };
  });
  const unused: Tally = {};
  const pairs = splits.flatMap((split) => {
    const own = rows.filter((row) => row.split === split);
    const count = split === 'train' ? values.pairs : Math.ceil(values.pairs / 8);
    if (own.length >= 2) return drawPairs(own, { ...values, count, split });
    for (const { where } of own) countAt(tallyEntry(unused, `alone in split ${split}`), where);
    return [];
  });
  for (const { split, where } of rows) {
    if (!splits.includes(split))
      countAt(tallyEntry(unused, `of split "${split}" (expected ${splits.join(', ')})`), where);
  }
  await writeTable(to, pairColumns, pairs, {
    source: table,
    difference: String(values.difference),
    seed: String(values.seed),
  });
  say(`${pairs.length} pairs of ${rows.length} texts in ${to}`);
  for (const line of describeTally(unused)) say(`texts that are not used: ${line}`);
}

/** Pairs of neighbours in a shuffled order, shuffled again until there are enough. */
function drawPairs(
  rows: readonly Rated[],
  {
    count,
    split,
    difference,
    prompt,
    seed,
  }: { count: number; split: string; difference: number; prompt: string; seed: number },
) {
  const random = seededRandom(seed, split);
  const pairs = [];
  for (let pass = 0; pairs.length < count; pass++) {
    const order = random.shuffle(rows.map((_, i) => i));
    const before = pairs.length;
    for (let i = 0; i + 1 < order.length && pairs.length < count; i += 2) {
      const [a, b] = [rows[order[i] as number], rows[order[i + 1] as number]] as [Rated, Rated];
      if (Math.abs(a.rating - b.rating) < difference || a.text === b.text) continue;
      const [chosen, rejected] = a.rating > b.rating ? [a, b] : [b, a];
      const ratings = { rating_chosen: chosen.rating, rating_rejected: rejected.rating };
      pairs.push({
        id: `${split}-${pairs.length}`,
        split,
        prompt,
        chosen: chosen.text,
        rejected: rejected.text,
        ...ratings,
      });
    }
    if (pairs.length === before && pass > 10) {
      throw new DataError(`split ${split}: no two ratings differ by ${difference}; expected some. Lower --difference.`);
    }
  }
  return pairs;
}

await runMain(import.meta.url, (argv) => ratingPairs(argv, (line) => process.stdout.write(`${line}\n`)));
