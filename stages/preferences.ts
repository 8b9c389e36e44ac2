/**
 * Makes the preference pairs of stage 2: answers sampled from the instruction-tuned model, compared by the judge of the prompt.
 *
 *   Reads   a stage-1 checkpoint, data/seed/chat.jsonl
 *   Writes  <run.folder>/{config.yaml, train.arrow, held-out.arrow, responses.arrow, manifest.json}
 *   Run     node --import tsx stages/preferences.ts configs/preferences/tiny.yaml
 *
 * The label noise is that of the Bradley–Terry model, P(label right) = σ(|gold difference| / noise), so that the truth
 * is known and a well-fitted reward model is calibrated. The synthetic-gold set-up follows Gao et al. 2022, arXiv:2210.10760.
 */
import { checkModelFolder, loadModelFolder } from '../src/checkpoint/model-folder.ts';
import { generateEach } from '../src/decoding/generate.ts';
import { DataError } from '../src/errors.ts';
import type { JudgedPrompt } from '../src/evaluation/chat-prompts.ts';
import { describePrompts } from '../src/evaluation/chat-prompts.ts';
import type { Judgement } from '../src/evaluation/judge.ts';
import { differenceOf } from '../src/evaluation/judge.ts';
import { meanAndDeviation } from '../src/evaluation/statistics.ts';
import { decodeResponse } from '../src/examples/instruction.ts';
import type { PreferenceRow } from '../src/examples/pair-table.ts';
import { preferenceColumns, writePreferences } from '../src/examples/pair-table.ts';
import { disposeModel, trainNothing } from '../src/model/model.ts';
import type { Random } from '../src/random.ts';
import { seededRandom } from '../src/random.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunFolder } from '../src/run/run-folder.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { writeTable } from '../src/tables/arrow-file.ts';
import { bool, float32, int32List, utf8 } from '../src/tables/columns.ts';
import { countAt, describeTally, type Tally, tallyEntry } from '../src/tables/tally.ts';
import { breathe, Interrupted } from '../src/terminal/interrupts.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadJudgedPrompts, recordPrompts } from '../src/worlds/load-prompts.ts';
import { PreferencesConfig } from './preferences.config.ts';

/** A sampled answer with what its judge says, and the total of that in [0, 1]. */
interface Answer {
  readonly prompt: JudgedPrompt;
  readonly ids: Int32Array;
  readonly text: string;
  readonly ended: boolean;
  readonly judgement: Judgement;
  readonly gold: number;
}

const responseColumns = {
  prompt_id: utf8('Row of the prompt.'),
  prompt: utf8('Rendered prompt.'),
  response: utf8('Sampled answer.'),
  response_ids: int32List('Token ids of the answer, EOS included where it was drawn.'),
  ended: bool('Whether EOS was drawn.'),
  gold: float32('Total of the judge in [0, 1].'),
};

const parents = { model: { role: 'instruct model', takes: 'tuned model', inChain: 'instruct' } } as const;

export const preferences: Stage<PreferencesConfig> = {
  name: 'preferences',
  purpose: 'Samples answers of a model and labels pairs of them by the judge of their prompts, with noise.',
  schema: PreferencesConfig,
  parents,
  outputs: {
    train: {
      path: 'train.arrow',
      holds: 'labelled pairs to train on',
      kind: 'preference pairs',
      columns: preferenceColumns,
    },
    'held-out': {
      path: 'held-out.arrow',
      holds: 'pairs of the prompts that are held out',
      kind: 'preference pairs',
      columns: preferenceColumns,
    },
    responses: { path: 'responses.arrow', holds: 'every sampled answer with its score', columns: responseColumns },
  },
  check,
  run,
};

/** The checkpoint whose answers are compared, its tokenizer, and the prompts, recorded in a run's folder; no weights are read. */
async function prepare(config: PreferencesConfig, folder?: RunFolder) {
  const parent = await openParent(config.model, parents.model);
  if (folder !== undefined) {
    await folder.recordParent('model', parent);
    await recordPrompts(folder, '', config.prompts);
  }
  const tokenizer = loadTokenizer(parent.folder);
  const where = `instruct model ${config.model}`;
  const { context } = checkModelFolder(parent.folder, { where, kind: 'language model', tokenizer });
  const prompts = loadJudgedPrompts(config.prompts, tokenizer, context - config.sampling.maxNewTokens);
  return { parent, tokenizer, prompts };
}

async function check(config: PreferencesConfig): Promise<readonly string[]> {
  const { prompts } = await prepare(config);
  const { responsesPerPrompt, pairsPerPrompt, heldOutShare } = config;
  return [
    describePrompts('prompts', prompts),
    `${prompts.length * responsesPerPrompt} answers, at most ${prompts.length * pairsPerPrompt} pairs, those of ${Math.max(1, Math.round(heldOutShare * prompts.length))} prompts held out`,
  ];
}

async function run(config: PreferencesConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  const { parent, tokenizer, prompts } = await prepare(config, folder);
  const { model } = loadModelFolder(parent.folder, { plan: trainNothing(), tokenizer, say: progress.say });

  // 1. Several answers to every prompt, each with the total of its judge.
  const random = seededRandom(config.run.seed, 'preferences');
  const jobs = prompts.flatMap((prompt) => Array.from({ length: config.responsesPerPrompt }, () => prompt));
  const bar = progress.phase('preferences', jobs.length, { unit: 'answers' });
  const answers = new Array<Answer>(jobs.length);
  const asked = jobs.map(({ promptIds }) => promptIds);
  let written = 0;
  let sum = 0;
  for await (const { prompt: job, response } of generateEach(model, asked, config.sampling, tokenizer, random)) {
    const prompt = jobs[job] as JudgedPrompt;
    const text = decodeResponse(response.ids, tokenizer);
    const judgement = prompt.judge.score(text);
    const gold = judgement.total;
    answers[job] = { prompt, ids: response.ids, text, ended: response.ended, judgement, gold };
    written += 1;
    sum += gold;
    bar.update(written, { gold: (sum / written).toFixed(3) });
    if (written % config.sampling.batchSize === 0) await breathe();
    if (context.interrupted()) throw new Interrupted(0);
  }
  disposeModel(model);
  const gold = meanAndDeviation(answers.map((answer) => answer.gold));

  // 2. Pairs within a prompt, labelled with noise; whole prompts are held out.
  const { pairs, unused } = pairAnswers(answers, prompts, config, random);
  const train = pairs.filter(({ split }) => split === 'train');
  const test = pairs.filter(({ split }) => split === 'test');
  if (train.length === 0 || test.length === 0) {
    throw new DataError(
      `preferences: ${train.length} training and ${test.length} held-out pairs are left; expected some of both. Lower label.tie or heldOutShare, or add prompts.`,
    );
  }
  await writePreferences(folder.file('train.arrow'), train, tokenizer);
  await writePreferences(folder.file('held-out.arrow'), test, tokenizer);
  const rows = answers.map(({ prompt, ids, text, ended, gold: score }) => {
    return { prompt_id: prompt.id, prompt: prompt.prompt, response: text, response_ids: ids, ended, gold: score };
  });
  await writeTable(folder.file('responses.arrow'), responseColumns, rows, { tokenizer: tokenizer.hash });
  const flipped = pairs.filter((pair) => pair.flipped).length / pairs.length;
  bar.finish(
    `${train.length} training and ${test.length} held-out pairs, ${(100 * flipped).toFixed(0)} % of labels flipped, gold ${gold.mean.toFixed(3)} (standard deviation ${gold.deviation.toFixed(3)})`,
  );
  for (const line of describeTally(unused)) progress.say(`no pair of: ${line}`);
  const left = Object.fromEntries(Object.entries(unused).map(([what, { count }]) => [what, count]));
  const counts = { trainPairs: train.length, heldOutPairs: test.length, flipped, noPairOf: left };
  return { ...counts, goldMean: gold.mean, goldSd: gold.deviation };
}

/** Pairs of the answers to each prompt, those of some prompts held out; and which answers and prompts make none. */
function pairAnswers(
  answers: readonly Answer[],
  prompts: readonly JudgedPrompt[],
  config: PreferencesConfig,
  random: Random,
): { readonly pairs: readonly PreferenceRow[]; readonly unused: Tally } {
  const order = random.shuffle(prompts);
  const heldOut = new Set(order.slice(0, Math.max(1, Math.round(config.heldOutShare * order.length))));
  const unused: Tally = {};
  for (const { prompt, ids } of answers) if (ids.length === 0) countAt(tallyEntry(unused, 'empty answers'), prompt.id);
  const pairs = prompts.flatMap((prompt) => {
    const own = answers.filter((answer) => answer.prompt === prompt && answer.ids.length > 0);
    const found = pairUp(own, config, random);
    if (found.length === 0) countAt(tallyEntry(unused, 'prompts whose answers all tie or are the same'), prompt.id);
    return found.map((pair) => toRow(pair, heldOut.has(prompt) ? 'test' : 'train'));
  });
  return { pairs, unused };
}

interface LabelledPair {
  readonly better: Answer;
  readonly worse: Answer;
  readonly flipped: boolean;
}

/** Draws pairs that are no ties and flips labels with probability σ(−|difference| / noise). */
function pairUp(answers: readonly Answer[], config: PreferencesConfig, random: Random): LabelledPair[] {
  const { noise, tie } = config.label;
  const all = answers.flatMap((first, i) => answers.slice(i + 1).map((second) => [first, second] as const));
  const distinct = all.filter(
    ([first, second]) => Math.abs(first.gold - second.gold) > tie && first.text !== second.text,
  );
  return random
    .shuffle(distinct)
    .slice(0, config.pairsPerPrompt)
    .map(([first, second]) => {
      const [better, worse] = first.gold > second.gold ? [first, second] : [second, first];
      const wrong = noise === 0 ? 0 : 1 / (1 + Math.exp((better.gold - worse.gold) / noise));
      return { better, worse, flipped: random.uniform() < wrong };
    });
}

function toRow({ better, worse, flipped }: LabelledPair, split: string): PreferenceRow {
  const [chosen, rejected] = flipped ? [worse, better] : [better, worse];
  const whole = ({ prompt, ids }: Answer): Int32Array => Int32Array.of(...prompt.promptIds, ...ids);
  return {
    prompt: better.prompt.prompt,
    chosen: chosen.text,
    rejected: rejected.text,
    chosen_ids: whole(chosen),
    rejected_ids: whole(rejected),
    prompt_length: better.prompt.promptIds.length,
    margin: 0,
    gold_chosen: chosen.gold,
    gold_rejected: rejected.gold,
    flipped,
    split,
    difference: differenceOf(better.judgement, worse.judgement),
  };
}

await program(import.meta.url, preferences);
