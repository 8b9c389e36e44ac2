/** The two tables of stage 2: pairs to train on and pairs held out, checked against each other. */
import { DataError } from '../errors.ts';
import type { Random } from '../random.ts';
import { describeTally } from '../tables/tally.ts';
import { holdOutShare } from '../tasks/hold-out-share.ts';
import { openPairs, type PairFile } from './open-pairs.ts';
import type { LoadedPairs, PreferencePair, PreferenceReader } from './preference.ts';
import { loadPairs, selectPairs } from './preference.ts';

/** Where the pairs come from and how they are used. */
export interface PreferenceSources {
  /** A table, or a file, a folder or a pattern whose rows are recognized. */
  readonly pairs: string;
  /** null for another split of `pairs`, or a share of them. */
  readonly heldOut: string | null;
  /** Splits of the two files to read; null for all of a file. */
  readonly splits: { readonly pairs: string | null; readonly heldOut: string | null };
  /** What the two must not share; prompts where left out. */
  readonly apartBy?: 'prompt' | 'response';
  /** Whether the loss asks for the margin of each pair. */
  readonly useMargin: boolean;
  /** A text column to group held-out pairs by; none where left out. */
  readonly groupBy?: string | null;
  /** Largest share of the rows of a file that is recognized that may be unusable; none where left out. */
  readonly badRows?: number;
  /** Share of the pairs to hold out where neither a file nor a split is named, and what chooses them. */
  readonly share?: { readonly of: number; readonly random: Random };
}

/** Pairs of both tables. */
export interface PreferenceSets {
  readonly train: LoadedPairs;
  /** Without pairs where none could be held out. */
  readonly heldOut: LoadedPairs;
  /** The files of `pairs`, and those of `heldOut` where it is named. */
  readonly inputs: { readonly pairs: readonly string[]; readonly heldOut: readonly string[] };
  /** What rows were taken for, and how pairs were held out where the configuration names none, in words. */
  readonly notes: readonly string[];
}

/**
 * Reads both and checks them against each other.
 *
 * @throws DataError as `openPairs` and `loadPairs`; or for prompts of held-out pairs that are also trained on (the first five),
 *   margins that are to be used and are all 0, and held-out pairs of which the judge prefers neither response
 */
export async function readPreferenceSets(
  sources: PreferenceSources,
  reader: PreferenceReader,
): Promise<PreferenceSets> {
  const { pairs, share, badRows = 0, groupBy = null } = sources;
  const file = await openPairs(pairs, { badRows, groupBy });
  const splits = namedSplits(sources, file);
  const from = sources.heldOut ?? (splits.heldOut === null ? null : pairs);
  const other = from === null || from === pairs ? file : await openPairs(from, { badRows, groupBy });
  const all = loadPairs(file, { split: splits.pairs, groupBy: from === null ? groupBy : null }, reader);
  const { train, heldOut } =
    from === null
      ? divide(all, sources.apartBy ?? 'prompt', share)
      : { train: all, heldOut: loadPairs(other, { split: splits.heldOut, groupBy }, reader) };
  const problems = sharedTexts({ ...sources, heldOut: from ?? pairs }, train.pairs, heldOut.pairs);
  if (sources.useMargin && train.pairs.every(({ margin }) => margin === 0)) {
    problems.push(
      `${sources.pairs}: margin is 0 or missing in every pair and loss.useMargin is true; expected margins to ask for. ` +
        'Set loss.useMargin to false, or add a margin column.',
    );
  }
  if (heldOut.pairs.length > 0 && heldOut.pairs.every((pair) => betterResponse(pair) === null)) {
    problems.push(
      `${from ?? pairs}: gold_chosen equals gold_rejected in every pair, so no response is the better one; ` +
        'expected pairs to measure accuracy on. Remove the gold columns to measure agreement with the labels.',
    );
  }
  if (problems.length > 0) throw new DataError(problems);
  const notes = [...new Set([...file.lines, ...other.lines, ...train.lines, ...heldOut.lines])];
  if (splits !== sources.splits) notes.push(`${pairs}: split ${splits.heldOut} is held out, and split train trained`);
  if (from === null && heldOut.pairs.length > 0) {
    notes.push(`${heldOut.pairs.length} of ${all.pairs.length} pairs are held out, by run.seed (evaluation.share)`);
  }
  const inputs = { pairs: file.inputs, heldOut: sources.heldOut === null ? [] : other.inputs };
  return { train, heldOut, inputs, notes };
}

/** The splits to read; train and validation (else test) of one file that has both, where nothing else is named. */
function namedSplits({ heldOut, splits }: PreferenceSources, { splits: found }: PairFile): PreferenceSources['splits'] {
  if (heldOut !== null || splits.pairs !== null || splits.heldOut !== null || !found.includes('train')) return splits;
  const other = ['validation', 'test'].find((name) => found.includes(name));
  return other === undefined ? splits : { pairs: 'train', heldOut: other };
}

/** A share of the pairs held out, with all that have the same prompt, or share a response with them. */
function divide(
  all: LoadedPairs,
  apartBy: 'prompt' | 'response',
  share: PreferenceSources['share'],
): Pick<PreferenceSets, 'train' | 'heldOut'> {
  const keys = apartBy === 'prompt' ? all.pairs.map(({ prompt }) => prompt) : linkedBy(all.pairs);
  const held = share === undefined ? new Set<number>() : holdOutShare(keys, share.of, share.random);
  return {
    train: selectPairs(all, (index) => !held.has(index)),
    heldOut: selectPairs(all, (index) => held.has(index)),
  };
}

/** A key for each pair: the same for all that are linked by common responses. */
function linkedBy(pairs: readonly PreferencePair[]): string[] {
  const parent = new Map<string, string>();
  const rootOf = (text: string): string => {
    let root = text;
    while (parent.get(root) !== undefined) root = parent.get(root) as string;
    // Later searches of this text take one step.
    if (root !== text) parent.set(text, root);
    return root;
  };
  for (const { chosen, rejected } of pairs) {
    const [a, b] = [rootOf(chosen), rootOf(rejected)];
    if (a !== b) parent.set(a, b);
  }
  return pairs.map(({ chosen }) => rootOf(chosen));
}

/** Which response is the better one: by the judge where there is one, else by the label; null where it prefers neither. */
export function betterResponse(pair: {
  readonly gold_chosen: number | null;
  readonly gold_rejected: number | null;
}): 'chosen' | 'rejected' | null {
  const { gold_chosen: chosen, gold_rejected: rejected } = pair;
  if (chosen === null || rejected === null) return 'chosen';
  if (chosen === rejected) return null;
  return chosen > rejected ? 'chosen' : 'rejected';
}

/** One line a table: "2040 pairs, 88,120 tokens, longest 61; 3 prompts cut, 1 pairs dropped (too long: 1, first at row 7)". */
export function describePairs({ statistics }: LoadedPairs): string {
  const { pairs, tokens, longest, cut, dropped, reasons } = statistics;
  const number = (value: number): string => value.toLocaleString('en-US');
  const why = dropped === 0 ? '' : ` (${describeTally(reasons).join('; ')})`;
  return `${number(pairs)} pairs, ${number(tokens)} tokens, longest ${longest}; ${number(cut)} prompts cut, ${number(dropped)} pairs dropped${why}`;
}

function sharedTexts(
  sources: PreferenceSources & { readonly heldOut: string },
  train: readonly PreferencePair[],
  heldOut: readonly PreferencePair[],
): string[] {
  const texts = (pair: PreferencePair): string[] =>
    sources.apartBy === 'response' ? [pair.chosen, pair.rejected] : [pair.prompt];
  const trained = new Set(train.flatMap(texts));
  const shared = [...new Set(heldOut.flatMap(texts))].filter((text) => trained.has(text));
  if (shared.length === 0) return [];
  const what = `${sources.apartBy ?? 'prompt'}s`;
  const named = shared
    .slice(0, 5)
    .map((prompt) => JSON.stringify(prompt.length > 60 ? `${prompt.slice(0, 57)}…` : prompt));
  return [
    `${sources.heldOut}: ${shared.length} of its ${what} are also in ${sources.pairs}; expected ${what} that were never ` +
      `trained on. Move all pairs of a ${sources.apartBy ?? 'prompt'} into one of the two. They are: ${named.join(', ')}${shared.length > 5 ? ', …' : ''}.`,
  ];
}
