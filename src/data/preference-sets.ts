/** The two tables of stage 2: pairs to train on and pairs held out, checked against each other. */
import { DataError } from '../errors.ts';
import type { LoadedPairs, PreferencePair, PreferenceReader } from './preference.ts';
import { readPreferences } from './preference.ts';
import { describeTally } from './tally.ts';

/** Where the pairs come from and how they are used. */
export interface PreferenceSources {
  readonly pairs: string;
  readonly heldOut: string;
  /** Splits of the two files to read; null for all of a file. */
  readonly splits: { readonly pairs: string | null; readonly heldOut: string | null };
  /** What the two must not share; prompts where left out. */
  readonly apartBy?: 'prompt' | 'response';
  /** Whether the loss asks for the margin of each pair. */
  readonly useMargin: boolean;
}

/** Pairs of both tables. */
export interface PreferenceSets {
  readonly train: LoadedPairs;
  readonly heldOut: LoadedPairs;
}

const writtenBy = 'node --import tsx scripts/preferences.ts or npm run import';

/**
 * Reads both tables and checks them against each other.
 *
 * @param reader `groupBy` is asked of the held-out pairs alone
 * @throws DataError as `readPreferences`; or for prompts of held-out pairs that are also trained on (the first five),
 *   margins that are to be used and are all 0, and held-out pairs of which gold prefers neither response
 */
export function readPreferenceSets(sources: PreferenceSources, reader: PreferenceReader): PreferenceSets {
  const train = readPreferences(sources.pairs, { ...reader, groupBy: null, split: sources.splits.pairs }, writtenBy);
  const heldOut = readPreferences(sources.heldOut, { ...reader, split: sources.splits.heldOut }, writtenBy);
  const problems = sharedTexts(sources, train.pairs, heldOut.pairs);
  if (sources.useMargin && train.pairs.every(({ margin }) => margin === 0)) {
    problems.push(
      `${sources.pairs}: margin is 0 or missing in every pair and loss.useMargin is true; expected margins to ask for. ` +
        'Set loss.useMargin to false, or add a margin column.',
    );
  }
  if (heldOut.pairs.every((pair) => betterResponse(pair) === null)) {
    problems.push(
      `${sources.heldOut}: gold_chosen equals gold_rejected in every pair, so no response is the better one; ` +
        'expected pairs to measure accuracy on. Remove the gold columns to measure agreement with the labels.',
    );
  }
  if (problems.length > 0) throw new DataError(problems);
  return { train, heldOut };
}

/** Which response is the better one: by gold where there is gold, else by the label; null where gold is equal. */
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
  sources: PreferenceSources,
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
