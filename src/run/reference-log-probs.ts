/** What a reference model thinks of responses: read once, and kept by the content of everything it depends on. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { distinctSequences, sequenceKey } from '../batch/distinct-sequences.ts';
import type { TokenSequence } from '../batch/token-batch.ts';
import { loadModelFolder } from '../checkpoint/model-folder.ts';
import { InvariantError } from '../errors.ts';
import { cachedFolder, hashOfFolders } from '../examples/dataset-cache.ts';
import { hashFile, hashText } from '../files/hash.ts';
import type { Model, TrainingPlan } from '../model/model.ts';
import { disposeModel, trainNothing } from '../model/model.ts';
import { readTable, writeTable } from '../tables/arrow-file.ts';
import { float64 } from '../tables/columns.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { Parent } from './parents.ts';
import type { RunContext } from './stage.ts';

/** Σ log π_ref of the response tokens of a sequence, in nats. */
export type ReferenceLogProb = (sequence: TokenSequence) => number;

const TABLE = 'log-probabilities.arrow';
const columns = { log_prob: float64('Sum over the tokens of the response, EOS included, in nats.') };

/** All of src: much of it takes part in reading a model. */
const source = fileURLToPath(new URL('../', import.meta.url));

interface ReferenceSource {
  readonly parent: Parent;
  readonly tokenizer: Tokenizer;
  /** As the policy keeps what it does not train. */
  readonly frozenPrecision: TrainingPlan['frozenPrecision'];
  readonly runtime: object;
  /** The folder of what was read before. */
  readonly cache: string;
  /** How the policy is read too, so that both round alike: `sumLogProbs`. */
  readonly read: (
    model: Model,
    sequences: readonly TokenSequence[],
    padId: number,
    show: (done: number) => void,
  ) => readonly number[];
}

/**
 * Σ log π of response tokens, EOS included, in nats, by a checkpoint that is not trained: from the cache, or read now.
 * @returns that of a sequence; it throws InvariantError for one that was not among those given
 */
export async function referenceLogProbs(
  { parent, tokenizer, frozenPrecision, runtime, cache, read }: ReferenceSource,
  all: readonly TokenSequence[],
  { lane, progress }: Pick<RunContext, 'lane' | 'progress'>,
): Promise<ReferenceLogProb> {
  const { sequences } = distinctSequences(all);
  const keys = sequences.map(sequenceKey);
  const parts = {
    weights: parent.hash,
    configuration: await hashFile(join(parent.folder, 'config.json')),
    tokenizer: tokenizer.hash,
    precision: JSON.stringify([frozenPrecision, runtime]),
    sequences: hashText(keys.join('\n')),
    lane: JSON.stringify(lane),
    reader: hashOfFolders([source]),
  };
  const { path, fresh } = await cachedFolder(cache, parts, async (folder) => {
    const { model } = loadModelFolder(parent.folder, {
      plan: trainNothing(frozenPrecision),
      tokenizer,
      say: progress.say,
    });
    const shown = progress.phase('log-probabilities of the reference', sequences.length, { unit: 'responses' });
    const logProbs = read(model, sequences, tokenizer.padId, shown.update);
    shown.finish();
    disposeModel(model);
    await writeTable(
      join(folder, TABLE),
      columns,
      logProbs.map((log_prob) => ({ log_prob })),
    );
  });
  if (!fresh) progress.say(`log-probabilities of the reference: those of ${path}`);
  const { rows } = readTable(join(path, TABLE), columns, 'this stage');
  const found = new Map(keys.map((key, i) => [key, rows[i]?.log_prob]));
  return (sequence) => {
    const logProb = found.get(sequenceKey(sequence));
    if (logProb !== undefined && Number.isFinite(logProb)) return logProb;
    throw new InvariantError(
      `reference: expected a finite log-probability for each response, received ${logProb}. Delete ${path}.`,
    );
  };
}
