/**
 * Stage 4: checkpoints side by side on the same held-out rows and prompts: what was trained, and what was not.
 *
 *   Reads   the checkpoints of stages 0 to 3, the rows and templates of the tasks, what stage 1 trained (instruct.arrow)
 *   Writes  <run.folder>/{config.yaml, tasks.arrow, protocol.arrow, contamination.arrow, conversations.arrow, answers.arrow, table.arrow,
 *           manifest.json}; conversations.arrow where tasks are conversations
 *   Run     node --import tsx stages/4-evaluate.ts configs/evaluate/tiny.yaml
 *   After   Wei et al. 2022 (FLAN, arXiv:2109.01652) section 2.2; Brown et al. 2020 (GPT-3, arXiv:2005.14165) section 2.4
 */
import type { ModelExpectations } from '../src/checkpoint/model-folder.ts';
import { checkModelFolder, loadModelFolder } from '../src/checkpoint/model-folder.ts';
import { CheckpointError, DataError } from '../src/errors.ts';
import type { JudgedAnswer } from '../src/evaluation/answer-prompts.ts';
import { answerPrompts, judged } from '../src/evaluation/answer-prompts.ts';
import { answerTasks, type TaskAnswer } from '../src/evaluation/answer-tasks.ts';
import { trainingOverlap, unknownOverlap } from '../src/evaluation/contamination.ts';
import type { ConversationLoss } from '../src/evaluation/conversation-loss.ts';
import { conversationLosses, conversationSets, isOfConversations } from '../src/evaluation/conversation-loss.ts';
import { tableRows, taskScores, writeEvaluation } from '../src/evaluation/evaluation-rows.ts';
import { evaluationTables } from '../src/evaluation/evaluation-tables.ts';
import { firstAnswer } from '../src/evaluation/first-answer.ts';
import type { AnswerSet } from '../src/evaluation/protocol.ts';
import { readSeen, summarise } from '../src/evaluation/protocol.ts';
import type { QuestionSet } from '../src/evaluation/question-sets.ts';
import { questionSets } from '../src/evaluation/question-sets.ts';
import type { Model } from '../src/model/model.ts';
import { disposeModel, trainNothing } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { contaminationUnknown, evaluationLines } from '../src/report/evaluation-report.ts';
import type { Parent } from '../src/run/parents.ts';
import { openParent, startOf } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { loadTasks } from '../src/tasks/tasks.ts';
import { breathe, Interrupted } from '../src/terminal/interrupts.ts';
import type { Tokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { loadJudgedPrompts, recordPrompts } from '../src/worlds/load-prompts.ts';
import { EvaluateConfig } from './4-evaluate.config.ts';

const parents = {
  base: { role: 'base', takes: 'language model', inChain: 'base' },
  instruct: { role: 'instruct', takes: 'language model', inChain: 'instruct', with: 'instruction examples' },
  policies: { role: 'policy', takes: 'language model', inChain: 'every' },
  reward: { role: 'reward', takes: 'reward model', inChain: 'reward' },
} as const;

export const evaluate: Stage<EvaluateConfig> = {
  name: 'evaluate',
  purpose: 'Scores checkpoints on the same held-out rows and prompts: seen and unseen tasks, templates and clusters.',
  schema: EvaluateConfig,
  parents,
  outputs: evaluationTables,
  check,
  run,
  firstAnswer: async ({ prompts, sampling }, path) => {
    if (prompts === undefined) return undefined;
    const { folder } = await openParent(path, { role: 'model', takes: 'language model' });
    return firstAnswer(folder, (...read) => loadJudgedPrompts(prompts, ...read), sampling.maxNewTokens);
  },
};

/** Checkpoints, tasks and questions, checked against each other; nothing that needs weights or a lane. */
async function prepare(config: EvaluateConfig) {
  const first = await openParent(config.base, parents.base);
  const tokenizer = loadTokenizer(first.folder);
  let context = Number.POSITIVE_INFINITY;
  const open = async (role: string, path: string, kind: ModelExpectations['kind']): Promise<Parent> => {
    const parent = await openParent(path, { role, takes: kind, tokenizer: tokenizer.hash });
    context = Math.min(context, checkModelFolder(parent.folder, { where: `${role} ${path}`, kind, tokenizer }).context);
    return parent;
  };
  const models = new Map<string, Parent>();
  const named = { base: config.base, instruct: config.instruct, ...config.policies };
  for (const [name, path] of Object.entries(named)) models.set(name, await open(name, path, 'language model'));
  const reward = config.reward === undefined ? undefined : await open('reward', config.reward, 'reward model');
  checkKinship(models, reward);
  // Every model reads the answers of every other.
  const { prompts: source, promptCount } = config;
  const free = context - config.sampling.maxNewTokens;
  const prompts = source === undefined ? [] : loadJudgedPrompts(source, tokenizer, free).slice(0, promptCount);
  const tasks = loadTasks(config.data.tables, config.data.templates, config.data.tasks);
  const seen = readSeen(config.instruct);
  const { samples, maxNewTokens: chain } = config.chainOfThought;
  const room = { context, chain };
  const { seed } = config.run;
  const asked = tasks.filter((task) => !isOfConversations(task));
  const sets = questionSets(asked, seen, { ...config, seed, chains: samples > 0, room }, tokenizer);
  const talks = conversationSets(tasks, seen, { ...config, seed, context }, tokenizer);
  if (asked.length === 0 && talks.sets.length === 0) throw new DataError(['no task can be measured.', ...talks.lines]);
  return { models, reward, tokenizer, tasks, seen, sets, talks, prompts };
}

/** A policy or reward model that was made from another instruct model would be compared with the wrong reference. */
function checkKinship(models: ReadonlyMap<string, Parent>, reward: Parent | undefined): void {
  const instruct = models.get('instruct');
  const starts = [...models].map(([name, run]) => ({ name, run, from: startOf(run, 'policy') }));
  if (reward !== undefined) starts.push({ name: 'reward', run: reward, from: startOf(reward, 'model') });
  const problems = starts.flatMap(({ name, run, from }) => {
    if (from === undefined || instruct === undefined || from.hash === instruct.hash) return [];
    return [
      `${name} ${run.path}: was made from another instruct model (${from.path}) than ${instruct.path}. ` +
        'Name checkpoints of one chain.',
    ];
  });
  if (problems.length > 0) throw new CheckpointError(problems);
}

async function check(config: EvaluateConfig): Promise<string[]> {
  const { sets, talks, prompts, tasks, seen } = await prepare(config);
  const known = tasks.filter(({ name }) => seen?.tasks.has(name));
  const trained = seen === undefined ? 'training data unknown' : `${known.length} of them trained`;
  const questions = sets.map(({ items, shots }) => `${items.length} with ${shots} shots`).join(', ');
  const figures = `${tasks.length} tasks, ${trained}; questions: ${questions}; ${prompts.length} conversation prompts`;
  return [figures, ...(seen === undefined ? [contaminationUnknown(config.instruct)] : []), ...talks.lines];
}

async function run(config: EvaluateConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  // 1. Every checkpoint must speak the same tokenizer and belong to one chain.
  const prepared = await prepare(config);
  const { models, reward, tasks, seen, talks } = prepared;
  for (const [name, parent] of models) await folder.recordParent(name, parent);
  if (reward !== undefined) await folder.recordParent('reward', reward);
  await folder.recordInput('tables', config.data.tables);
  await folder.recordInput('templates', config.data.templates);
  if (config.prompts !== undefined) await recordPrompts(folder, 'prompt ', config.prompts);

  // 2. The same questions, conversations and prompts for all.
  for (const line of talks.lines) progress.say(line);
  const { answerSets, answers, losses } = await askAll(config, context, prepared);

  // 3. By protocol, against the base model on the same questions; and how far held-out rows overlap with training.
  const random = seededRandom(config.run.seed, 'bootstrap');
  const results = answerSets.flatMap((set) => {
    const base = answerSets.find((other) => other.model === 'base' && other.shots === set.shots) as AnswerSet;
    return summarise(set, { seen, base, bootstrap: config.bootstrap, random });
  });
  const { instruct, split, contaminationWords } = config;
  const overlaps =
    seen === undefined ? unknownOverlap(tasks) : trainingOverlap(instruct, tasks, split, contaminationWords);

  // 4. Everything into Arrow, the summary as tables.
  const table = tableRows([...models.keys()], results, answers);
  await writeEvaluation(folder.file, { answerSets, answers, results, overlaps, losses, table }, { ...prepared, split });
  const found = { table, results, losses, overlaps };
  for (const line of evaluationLines(found, contaminationWords, instruct)) progress.say(line);
  const measured = losses.map(({ model, task, loss }) => ({ model, task, loss }));
  const conversations = measured.length === 0 ? {} : { conversations: measured };
  return { reference: 'instruct', table, tasks: taskScores(results), ...conversations };
}

/** Every model's answers to the questions, and to the conversation prompts where there are any. One model is open at a time. */
async function askAll(
  config: EvaluateConfig,
  { progress, interrupted }: RunContext,
  { models, reward, tokenizer, sets, talks, prompts }: Awaited<ReturnType<typeof prepare>>,
) {
  const total = sets.reduce((sum, { items, dev }) => sum + items.length + dev.length, 0);
  const bar = progress.phase('evaluate', models.size * total, { unit: 'rows' });
  const judges = openJudges(models.get('instruct'), reward, tokenizer);
  const answerSets: AnswerSet[] = [];
  const answers = new Map<string, JudgedAnswer[]>();
  const losses: ConversationLoss[] = [];
  for (const [index, [name, { folder }]] of [...models].entries()) {
    const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer, say: progress.say });
    const report = (done: number): void => bar.update(index * total + done, { model: name });
    answerSets.push(...(await answerAll(model, name, sets, config, tokenizer, report)));
    losses.push(...conversationLosses(name, model, talks.sets));
    if (judges !== undefined) {
      const random = seededRandom(config.run.seed, 'answers');
      answers.set(name, judged(await answerPrompts(model, judges, prompts, config.sampling, tokenizer, random)));
    }
    disposeModel(model);
    await breathe();
    if (interrupted()) throw new Interrupted(0);
  }
  for (const model of [judges?.reference, judges?.reward]) if (model !== undefined) disposeModel(model);
  bar.finish();
  return { answerSets, answers, losses };
}

/** The instruct model as reference and the reward model; undefined where there are no conversations. */
function openJudges(instruct: Parent | undefined, scorer: Parent | undefined, tokenizer: Tokenizer) {
  if (instruct === undefined || scorer === undefined) return undefined;
  const options = { plan: trainNothing(), tokenizer };
  const { model: reference } = loadModelFolder(instruct.folder, options);
  const { model: reward, normalisation } = loadModelFolder(scorer.folder, options);
  return { reference, reward, normalisation };
}

/** A model's answers to every set of questions. */
async function answerAll(
  model: Model,
  name: string,
  sets: readonly QuestionSet[],
  config: EvaluateConfig,
  tokenizer: Tokenizer,
  report: (done: number) => void,
): Promise<AnswerSet[]> {
  let before = 0;
  const answered: AnswerSet[] = [];
  for (const { shots, items, dev } of sets) {
    const random = seededRandom(config.run.seed, `chains ${shots}`);
    const options = { ranking: config.ranking, chains: config.chainOfThought, random };
    const ask = async (asked: QuestionSet['items']): Promise<TaskAnswer[]> => {
      const given = await answerTasks(model, tokenizer, asked, options, (done) => report(before + done));
      before += asked.length;
      return given;
    };
    answered.push({ model: name, shots, answers: await ask(items), dev: await ask(dev) });
  }
  return answered;
}

await program(import.meta.url, evaluate);
