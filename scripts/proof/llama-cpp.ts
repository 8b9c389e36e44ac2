/**
 * Lets llama.cpp read what we export, and compares ids of texts and greedy answers with ours.
 *
 *   Run     node --import tsx scripts/proof/llama-cpp.ts <checkpoint> --llama <folder> [--type f16] [--tokens 64] [--texts 2000]
 *   Needs   a folder outside this one in which `npm install node-llama-cpp` was run; it brings llama.cpp for the CPU
 *   Prints  ids of hard and random texts; then for each prompt the tokens until the first difference, and for every
 *           difference how far our own two logits lie apart: what rounding of weights can turn over
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { roundedLength } from '../../src/batch/padding.ts';
import { layOut } from '../../src/batch/token-batch.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { isStop } from '../../src/decoding/decode-steps.ts';
import { generate } from '../../src/decoding/generate.ts';
import { ConfigError } from '../../src/errors.ts';
import { encodePrompt } from '../../src/examples/instruction.ts';
import { read } from '../../src/execution/read.ts';
import { exportGguf } from '../../src/gguf/export-gguf.ts';
import { userSays } from '../../src/message.ts';
import { decode } from '../../src/model/decoder.ts';
import { tokenLogits } from '../../src/model/heads.ts';
import { inputArrays, inputsFrom } from '../../src/model/inputs.ts';
import { disposeModel, type Model, trainNothing } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { openParent } from '../../src/run/parents.ts';
import { runMain } from '../../src/run/program.ts';
import { openLaneFor } from '../../src/run/stage.ts';
import { type Flags, parseFlags } from '../../src/terminal/flags.ts';
import { openProgress } from '../../src/terminal/progress.ts';
import { loadTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import type { LlamaModel } from './node-llama-cpp.ts';
import { openLlamaCpp } from './node-llama-cpp.ts';
import { PROMPTS } from './prompts.ts';

const flags = {
  llama: { kind: 'path', description: 'Folder in which node-llama-cpp is installed.' },
  type: { kind: 'text', choices: ['f16', 'bf16', 'q8_0'], default: 'f16', description: 'Type of the export.' },
  tokens: { kind: 'integer', min: 1, default: 64, description: 'Longest answer.' },
  texts: { kind: 'integer', min: 0, default: 2000, description: 'Random texts to tokenize.' },
} as const satisfies Flags;

const usage = 'Usage: node --import tsx scripts/proof/llama-cpp.ts <checkpoint> --llama <folder with node-llama-cpp>';

/** Texts of all kinds of characters: those that tokenizers cut at most often, so that they meet. */
function randomTexts(count: number): string[] {
  const random = seededRandom(1, 'texts');
  const kinds = [
    ' ',
    '  ',
    '\n',
    '\t',
    "'s",
    "'RE",
    '12',
    '3',
    '.',
    '!?',
    'a',
    'The',
    'ing',
    'é',
    'ß',
    '中',
    '😶',
    '\u00a0',
    '‍',
    '<|',
    '|>',
    '\r\n',
    'Ж',
    '्',
    '\u0085',
  ];
  const one = (): string => {
    const whole = random.integer(8);
    return whole > 0 ? (kinds[random.integer(kinds.length)] ?? '') : String.fromCodePoint(32 + random.integer(0xd000));
  };
  return Array.from({ length: count }, () => Array.from({ length: 1 + random.integer(24) }, one).join(''));
}

function compareTexts(theirs: LlamaModel, ours: Tokenizer, count: number, say: (line: string) => void): void {
  const file = new URL('../../test/fixtures/tokenizers/texts.json', import.meta.url);
  const { texts: hard } = JSON.parse(readFileSync(file, 'utf8')) as { texts: string[] };
  for (const [kind, texts] of [
    ['hard', hard],
    ['random', randomTexts(count)],
  ] as const) {
    const different = texts.filter((text) => theirs.tokenize(text, false).join() !== ours.encode(text).join());
    say(`ids of ${kind} texts: ${texts.length - different.length} of ${texts.length} equal`);
    for (const text of different.slice(0, 5)) {
      say(
        `  ${JSON.stringify(text)}: llama.cpp ${theirs.tokenize(text, false).join(' ')}, ours ${ours.encode(text).join(' ')}`,
      );
    }
  }
}

/** llama.cpp's greedy answers, what ends them included. */
async function theirAnswers(
  model: LlamaModel,
  prompts: readonly Int32Array[],
  stop: Tokenizer,
  tokens: number,
): Promise<number[][]> {
  const longest = Math.max(...prompts.map(({ length }) => length));
  // Several threads wait for each other in loops: on a busy machine nearly forever.
  const context = await model.createContext({ contextSize: longest + tokens, threads: 1 });
  const sequence = context.getSequence();
  const answers: number[][] = [];
  for (const ids of prompts) {
    const answer: number[] = [];
    for await (const id of sequence.evaluate([...ids], { temperature: 0, yieldEogToken: true })) {
      answer.push(id);
      if (answer.length === tokens || isStop(id, stop)) break;
    }
    await sequence.clearHistory();
    answers.push(answer);
  }
  return answers;
}

/** One place of an answer where our best token is another, and by how much its logit is larger. */
interface Difference {
  readonly at: number;
  readonly gap: number;
}

/** Reads a prompt with llama.cpp's answer in one pass: wherever that is not what we would have written. */
function differences(model: Model, prompt: Int32Array, answer: readonly number[], padId: number): Difference[] {
  const { dimensions } = model;
  const ids = Int32Array.from([...prompt, ...answer]);
  const row = layOut([[{ ids, learned: new Int32Array(ids.length) }]], roundedLength(ids.length), padId);
  const logits = read(model, 'every logit', inputArrays(dimensions, row), (weights, arrays) => {
    return tokenLogits(dimensions, weights, decode(dimensions, weights, inputsFrom(dimensions, arrays)).hidden);
  });
  const { vocab } = dimensions;
  return answer.flatMap((id, at) => {
    const next = logits.subarray((prompt.length + at - 1) * vocab, (prompt.length + at) * vocab);
    const best = next.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    const gap = best - (next[id] ?? Number.NaN);
    return gap === 0 ? [] : [{ at, gap }];
  });
}

/** Tokens that two answers begin with in common. */
function agreed(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let at = 0;
  while (at < one.length && at < other.length && one[at] === other[at]) at++;
  return at;
}

async function proof(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const { values, positionals } = parseFlags(argv, flags);
  const [checkpoint] = positionals;
  if (checkpoint === undefined || values.llama === undefined) throw new ConfigError(usage);
  const llamaCpp = await openLlamaCpp(values.llama);
  const { folder } = await openParent(checkpoint, { role: 'checkpoint' });
  const temporary = mkdtempSync(join(tmpdir(), 'plumbline-gguf-'));
  try {
    const path = join(temporary, 'model.gguf');
    const { notes } = await exportGguf(folder, values.type.toUpperCase() as 'F16', path, 'model');
    for (const note of notes) say(note);
    const tokenizer = loadTokenizer(folder);
    const prompts = PROMPTS.map((text) => encodePrompt(userSays(text), tokenizer));
    const llama = await llamaCpp.getLlama({ gpu: false, build: 'never' });
    const theirs = await llama.loadModel({ modelPath: path });
    say(`llama.cpp ${llama.llamaCppRelease.release} opened the ${values.type} export of ${checkpoint}`);
    compareTexts(theirs, tokenizer, values.texts, say);
    const answers = await theirAnswers(theirs, prompts, tokenizer, values.tokens);
    await theirs.dispose();
    await llama.dispose();
    const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer });
    await compareAnswers(model, tokenizer, prompts, answers, values.tokens, say);
    disposeModel(model);
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

async function compareAnswers(
  model: Model,
  tokenizer: Tokenizer,
  prompts: readonly Int32Array[],
  answers: readonly (readonly number[])[],
  maxNewTokens: number,
  say: (line: string) => void,
): Promise<void> {
  const options = { temperature: 0, topK: 0, topP: 1, maxNewTokens, batchSize: 10 };
  const ours = await generate(model, prompts, options, tokenizer, seededRandom(1, 'greedy'));
  const counts = { equal: 0, tokens: 0, others: 0 };
  for (const [i, answer] of answers.entries()) {
    const own = ours[i]?.ids ?? [];
    const common = agreed(own, answer);
    const isEqual = common === own.length && common === answer.length;
    const others = differences(model, prompts[i] as Int32Array, answer, tokenizer.padId);
    counts.equal += isEqual ? 1 : 0;
    counts.tokens += answer.length;
    counts.others += others.length;
    const gaps = others.map(({ at, gap }) => `token ${at + 1} by ${gap.toFixed(4)}`).join(', ');
    const until = isEqual ? `all ${common} tokens equal` : `equal for ${common} of ${answer.length} tokens`;
    say(`${until}${gaps === '' ? '' : `; in llama.cpp's answer our logits prefer another: ${gaps}`} (${PROMPTS[i]})`);
  }
  say(
    `${counts.equal} of ${answers.length} answers equal; of the ${counts.tokens} tokens that llama.cpp wrote ` +
      `${counts.tokens - counts.others} are those that we would have written next`,
  );
}

await runMain(import.meta.url, async (argv) => {
  const progress = openProgress();
  await openLaneFor({ backend: 'auto', device: 'auto' }, progress);
  await proof(argv, (line) => progress.say(line));
});
