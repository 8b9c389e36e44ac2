/**
 * Compares greedy answers with those of transformers, from the same folder.
 *
 *   Run     node --import tsx scripts/proof/greedy-agreement.ts <folder> --python <interpreter> [--tokens 64]
 *   Needs   a Python with torch and transformers
 *   Prints  for each of 20 prompts, through the folder's own chat template, whether ids of prompt and answer are equal; where
 *           an answer is not, how far transformers' two best logits lie apart there: what rounding in float32 can turn over
 */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { generate } from '../../src/decoding/generate.ts';
import { ConfigError } from '../../src/errors.ts';
import { encodePrompt, encodeRaw } from '../../src/examples/instruction.ts';
import { userSays } from '../../src/message.ts';
import { disposeModel, trainNothing } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import { runMain } from '../../src/run/program.ts';
import { openLaneFor } from '../../src/run/stage.ts';
import { type Flags, parseFlags } from '../../src/terminal/flags.ts';
import { openProgress } from '../../src/terminal/progress.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { PROMPTS } from './prompts.ts';

const flags = {
  python: { kind: 'path', description: 'A Python with torch and transformers.' },
  tokens: { kind: 'integer', min: 1, default: 64, description: 'Longest answer.' },
} as const satisfies Flags;

/** What greedy_agreement.py writes. */
interface Theirs {
  readonly versions: Readonly<Record<string, string>>;
  readonly answers: readonly {
    readonly prompt: readonly number[];
    readonly answer: readonly number[];
    readonly gaps: readonly number[];
  }[];
}

/** Runs the Python half; its messages go to standard error. */
async function askTransformers(python: string, folder: string, tokens: number): Promise<Theirs> {
  const script = fileURLToPath(new URL('greedy_agreement.py', import.meta.url));
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify({ folder: resolve(folder), prompts: PROMPTS, tokens }));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    output += piece;
  });
  const code = await new Promise((settle, fail) => child.on('close', settle).on('error', fail));
  if (code !== 0) throw new ConfigError(`--python ${python}: ${script} ended with ${code}; see above.`);
  return JSON.parse(output) as Theirs;
}

/** Ids of our answers, prompt by prompt. */
async function askOurselves(folder: string, maxNewTokens: number) {
  const tokenizer = loadTokenizer(folder);
  const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer });
  const prompts = PROMPTS.map((text) =>
    tokenizer.chat === null ? encodeRaw(text, tokenizer) : encodePrompt(userSays(text), tokenizer),
  );
  const options = { temperature: 0, topK: 0, topP: 1, maxNewTokens, batchSize: 10 };
  const drawn = await generate(model, prompts, options, tokenizer, seededRandom(1, 'greedy'));
  disposeModel(model);
  return { prompts, answers: drawn.map(({ ids }) => ids) };
}

async function proof(argv: readonly string[], say: (line: string) => void): Promise<void> {
  const { values, positionals } = parseFlags(argv, flags);
  const [folder] = positionals;
  if (folder === undefined || values.python === undefined) {
    throw new ConfigError('Usage: node --import tsx scripts/proof/greedy-agreement.ts <folder> --python <interpreter>');
  }
  const ours = await askOurselves(folder, values.tokens);
  const theirs = await askTransformers(values.python, folder, values.tokens);
  const counts = { prompts: 0, answers: 0, tokens: 0 };
  for (const [i, { prompt, answer, gaps }] of theirs.answers.entries()) {
    const own = ours.answers[i] as Int32Array;
    const samePrompt = (ours.prompts[i] as Int32Array).join() === prompt.join();
    const at = answer.findIndex((id, k) => id !== own[k]);
    const isSame = at === -1 && own.length === answer.length;
    counts.prompts += samePrompt ? 1 : 0;
    counts.answers += isSame ? 1 : 0;
    counts.tokens += answer.length;
    const end = isSame
      ? `all ${answer.length} tokens equal`
      : `differs at token ${at + 1}, where two logits are ${gaps[at]?.toFixed(6)} apart`;
    say(`${samePrompt ? 'prompt equal' : 'PROMPT DIFFERS'}; ${end} (${PROMPTS[i]})`);
  }
  const versions = Object.entries(theirs.versions).map(([name, version]) => `${name} ${version}`);
  say(
    `${counts.prompts} of ${PROMPTS.length} prompts and ${counts.answers} of ${PROMPTS.length} answers ` +
      `(${counts.tokens} tokens) equal those of ${versions.join(', ')}`,
  );
}

await runMain(import.meta.url, async (argv) => {
  const progress = openProgress();
  await openLaneFor({ backend: 'auto', device: 'auto' }, progress);
  await proof(argv, (line) => progress.say(line));
});
