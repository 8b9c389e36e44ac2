/**
 * Stage 4: base, instruct and PPO checkpoints side by side, on the same held-out rows and prompts.
 *
 *   Reads   the checkpoints of stages 0 to 3, data/seed, data/templates
 *   Writes  <run.folder>/{config.yaml, tasks.arrow, answers.arrow, table.arrow, manifest.json}
 *   Run     npx tsx stages/4-evaluate.ts configs/evaluate/tiny.yaml
 */
import { checkModelFolder, loadModelFolder } from '../src/checkpoint/model-folder.ts';
import { writeTable } from '../src/data/arrow-file.ts';
import type { Row } from '../src/data/columns.ts';
import { bool, float32, float32List, float64, int32, utf8, utf8List } from '../src/data/columns.ts';
import { loadTasks } from '../src/data/tasks.ts';
import type { ScoredAnswer } from '../src/evaluation/answer-prompts.ts';
import { answerPrompts } from '../src/evaluation/answer-prompts.ts';
import type { TaskAnswer } from '../src/evaluation/answer-tasks.ts';
import { accuracyByTask, answerTasks } from '../src/evaluation/answer-tasks.ts';
import { loadChatPrompts } from '../src/evaluation/chat-prompts.ts';
import { meanAndDeviation, winRate } from '../src/evaluation/statistics.ts';
import { taskItems } from '../src/evaluation/task-items.ts';
import { disposeModel } from '../src/model/model.ts';
import { seededRandom } from '../src/random.ts';
import { formatTable } from '../src/report/table.ts';
import { breathe, Interrupted } from '../src/run/interrupts.ts';
import { openParent } from '../src/run/parents.ts';
import { program } from '../src/run/program.ts';
import type { RunContext, Stage } from '../src/run/stage.ts';
import { loadTokenizer } from '../src/tokenizer/tokenizer.ts';
import { EvaluateConfig } from './4-evaluate.config.ts';

const taskColumns = {
  model: utf8('Which checkpoint answered: base, instruct or ppo.'),
  task: utf8('Dataset of the row.'),
  cluster: utf8('Cluster of the dataset.'),
  template: utf8('Template it was rendered with.'),
  templates: utf8('train: the template was trained with; unseen: it was held out.'),
  prompt: utf8('Rendered prompt.'),
  target: utf8('Right answer.'),
  prediction: utf8('Answer of the model.'),
  correct: bool('Whether they are equal.'),
  options: utf8List('Answers that were ranked; empty for free text.'),
  option_log_probs: float32List('log p(option, EOS | prompt) of each, in nats.'),
};

const answerColumns = {
  model: utf8('Which checkpoint answered: base, instruct or ppo.'),
  prompt: utf8('Rendered prompt.'),
  response: utf8('Sampled answer.'),
  gold: float32('Gold score, the mean of its five parts.'),
  gold_answered: float32('Answers what was asked.'),
  gold_friendly: float32('Friendly tone.'),
  gold_sentences: float32('Complete sentences.'),
  gold_repetition: float32('1 without repetition.'),
  gold_length: float32('1 for the right length.'),
  reward: float32('Normalised reward-model score.'),
  kl: float32('Σ_t log π − log π_instruct over the answer, in nats.'),
  length: int32('Tokens of the answer, EOS included.'),
  ended: bool('Whether EOS was drawn.'),
};

const tableColumns = {
  model: utf8('Checkpoint.'),
  accuracy: float64('Mean over tasks of the fraction of right answers, trained templates.'),
  accuracy_unseen_templates: float64('The same rows with templates that were never trained.'),
  gold: float64('Mean gold score of the answers.'),
  gold_sd: float64('Standard deviation of the gold score.'),
  reward: float64('Mean normalised reward-model score.'),
  kl: float64('Mean KL to the instruct model a response, in nats.'),
  length: float64('Mean tokens of an answer.'),
  win_rate: float64('Fraction of prompts whose answer beats the instruct model’s by gold; ties count half.'),
};

const modelNames = ['base', 'instruct', 'ppo'] as const;

export const evaluate: Stage<EvaluateConfig> = { name: 'evaluate', schema: EvaluateConfig, run };

async function run(config: EvaluateConfig, context: RunContext): Promise<Record<string, unknown>> {
  const { folder, progress } = context;
  // 1. Every checkpoint must speak the same tokenizer.
  const first = await openParent(config.base, { role: 'base' });
  const tokenizer = loadTokenizer(first.folder);
  let shortest = Number.POSITIVE_INFINITY;
  const folders = { base: first.folder, instruct: '', ppo: '', reward: '' };
  for (const role of ['base', 'instruct', 'ppo', 'reward'] as const) {
    const parent = await openParent(config[role], { role, tokenizer: tokenizer.hash });
    folders[role] = parent.folder;
    await folder.recordParent(role, parent);
    const head = role === 'reward' ? 'score' : 'tokens';
    const dimensions = checkModelFolder(parent.folder, { where: `${role} ${config[role]}`, head, tokenizer });
    shortest = Math.min(shortest, dimensions.context);
  }
  await folder.recordInput('seed', config.data.seed);
  await folder.recordInput('templates', config.data.templates);

  // 2. The same rows and prompts for all.
  const { rowsPerTask, split } = config;
  const tasks = loadTasks(config.data.seed, config.data.templates, config.data.tasks);
  const items = (['train', 'unseen'] as const).flatMap((templates) =>
    taskItems(tasks, { split, rowsPerTask, templates, random: seededRandom(config.run.seed, 'task rows') }),
  );
  // Every model reads the answers of every other.
  const room = shortest - config.sampling.maxNewTokens;
  const prompts = loadChatPrompts(config.prompts, tokenizer, room).slice(0, config.promptCount);
  const { model: reference } = loadModelFolder(folders.instruct);
  const { model: reward, normalisation } = loadModelFolder(folders.reward);

  // 3. Answers of each model.
  const bar = progress.phase('evaluate', modelNames.length * items.length, { unit: 'rows' });
  const taskRows: Row<typeof taskColumns>[] = [];
  const answers = new Map<string, ScoredAnswer[]>();
  const accuracies = new Map<string, ReturnType<typeof splitAccuracy>>();
  for (const [index, name] of modelNames.entries()) {
    const { model } = loadModelFolder(folders[name]);
    const answered = answerTasks(model, tokenizer, items, (done) =>
      bar.update(index * items.length + done, { model: name }),
    );
    taskRows.push(...answered.map((answer) => taskRow(name, answer)));
    accuracies.set(name, splitAccuracy(answered));
    const judges = { reference, reward, normalisation };
    answers.set(
      name,
      answerPrompts(model, judges, prompts, config.sampling, tokenizer, seededRandom(config.run.seed, 'answers')),
    );
    disposeModel(model);
    await breathe();
    if (context.interrupted()) throw new Interrupted(index);
  }
  disposeModel(reference);
  disposeModel(reward);
  bar.finish();

  // 4. Everything into Arrow, the summary as a table.
  const answerRows = [...answers].flatMap(([name, list]) => list.map((answer) => answerRow(name, answer)));
  const instructGold = (answers.get('instruct') ?? []).map(({ gold }) => gold.total);
  const table = modelNames.map((name) => summaryRow(name, answers.get(name) ?? [], accuracies.get(name), instructGold));
  await writeTable(folder.file('tasks.arrow'), taskColumns, taskRows, { tokenizer: tokenizer.hash });
  await writeTable(folder.file('answers.arrow'), answerColumns, answerRows, { tokenizer: tokenizer.hash });
  await writeTable(folder.file('table.arrow'), tableColumns, table);
  for (const name of ['tasks', 'answers', 'table']) await folder.recordOutput(name, `${name}.arrow`);
  for (const line of [...summaryTable(table), '', ...taskTable(accuracies)]) progress.say(line);
  return {
    table,
    tasks: Object.fromEntries([...accuracies].map(([name, { tasks: byTask }]) => [name, Object.fromEntries(byTask)])),
  };
}

function taskRow(model: string, { item, prediction, correct, optionLogProbs }: TaskAnswer): Row<typeof taskColumns> {
  const { task, cluster, template, templates, prompt, target, options } = item;
  const scores = Float32Array.from(optionLogProbs);
  return {
    model,
    task,
    cluster,
    template,
    templates,
    prompt,
    target,
    prediction,
    correct,
    options,
    option_log_probs: scores,
  };
}

function answerRow(model: string, answer: ScoredAnswer): Row<typeof answerColumns> {
  const { prompt, response, gold, reward, kl, length, ended } = answer;
  return {
    model,
    prompt: prompt.prompt,
    response,
    gold: gold.total,
    gold_answered: gold.answered,
    gold_friendly: gold.friendly,
    gold_sentences: gold.sentences,
    gold_repetition: gold.repetition,
    gold_length: gold.length,
    reward,
    kl,
    length,
    ended,
  };
}

function splitAccuracy(answers: readonly TaskAnswer[]): { seen: number; unseen: number; tasks: Map<string, number> } {
  const seen = accuracyByTask(answers.filter(({ item }) => item.templates === 'train'));
  const unseen = accuracyByTask(answers.filter(({ item }) => item.templates === 'unseen'));
  return { seen: seen.mean, unseen: unseen.mean, tasks: seen.tasks };
}

function summaryRow(
  model: string,
  answers: readonly ScoredAnswer[],
  accuracy: { seen: number; unseen: number } | undefined,
  instructGold: readonly number[],
): Row<typeof tableColumns> {
  const own = answers.map(({ gold }) => gold.total);
  const gold = meanAndDeviation(own);
  return {
    model,
    accuracy: accuracy?.seen ?? 0,
    accuracy_unseen_templates: accuracy?.unseen ?? 0,
    gold: gold.mean,
    gold_sd: gold.deviation,
    reward: meanAndDeviation(answers.map(({ reward }) => reward)).mean,
    kl: meanAndDeviation(answers.map(({ kl }) => kl)).mean,
    length: meanAndDeviation(answers.map(({ length }) => length)).mean,
    win_rate: winRate(own, instructGold),
  };
}

function summaryTable(table: readonly Row<typeof tableColumns>[]): string[] {
  const headers = [
    'model',
    'accuracy',
    'unseen templates',
    'gold',
    'gold sd',
    'reward',
    'KL to instruct',
    'length',
    'win rate',
  ];
  return formatTable(
    headers,
    table.map((row) => [
      row.model,
      percent(row.accuracy),
      percent(row.accuracy_unseen_templates),
      row.gold.toFixed(3),
      row.gold_sd.toFixed(3),
      row.reward.toFixed(2),
      row.kl.toFixed(2),
      row.length.toFixed(1),
      percent(row.win_rate),
    ]),
  );
}

function taskTable(accuracies: ReadonlyMap<string, { tasks: Map<string, number> }>): string[] {
  const names = [...accuracies.keys()];
  const tasks = [...(accuracies.get(names[0] ?? '')?.tasks.keys() ?? [])];
  return formatTable(
    ['task', ...names],
    tasks.map((task) => [task, ...names.map((name) => percent(accuracies.get(name)?.tasks.get(task) ?? 0))]),
  );
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

await program(
  import.meta.url,
  evaluate,
  'Scores base, instruct and PPO checkpoints on the same held-out rows and prompts.',
);
