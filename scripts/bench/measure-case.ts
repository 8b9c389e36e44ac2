/** One case on both sides: the same weights written for PyTorch, programs timed in turn, their first results compared. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeAdapterFolder } from '../../src/checkpoint/adapter-folder.ts';
import { huggingFaceConfig } from '../../src/checkpoint/model-config.ts';
import { writeWeightFiles } from '../../src/checkpoint/weight-files.ts';
import { fileTensors } from '../../src/checkpoint/weight-names.ts';
import { InvariantError } from '../../src/errors.ts';
import { openEngine } from '../../src/graph/engine.ts';
import { multipliesBfloat16 } from '../../src/lanes/hardware.ts';
import type { HeadKind } from '../../src/model/dimensions.ts';
import { hostValues } from '../../src/model/host-values.ts';
import { disposeModel } from '../../src/model/model.ts';
import type { Case, TaskName } from './cases.ts';
import type { Failed, Float32, Program, ProgramName, Ratio, Timed } from './compare.ts';
import { ratiosOf, timeInTurn } from './compare.ts';
import type { LlamaProgram } from './llama-cpp.ts';
import { openLlama } from './llama-cpp.ts';
import { productSpeed, stepOperations } from './operations.ts';
import { openOurs, ourVariants, parametersOf, settle, startingModel } from './our-cases.ts';
import type { Twin } from './torch-child.ts';
import { openTwin, torchVariants } from './torch-child.ts';

/** Runs before the timed ones: tracing and compiling happen in the first, buffers find their place in the second. */
const WARM_UPS = 2;
/** Large matrix products of which the fastest is the machine's peak. */
const PEAKS = 5;
/** First losses of equal weights on equal tokens; float32 on both sides, sums in another order. */
const SAME_LOSS = 1e-4;

/** How a case is measured. */
export interface MeasureOptions {
  /** Python with PyTorch; null to measure ours alone. */
  readonly python: string | null;
  /** Folder with node-llama-cpp, which then generates too; null to leave it out. */
  readonly llama: string | null;
  /** Where PyTorch runs, and what both sides multiply float32 matrices in; our lane is open already. */
  readonly device: 'cpu' | 'gpu';
  readonly float32: Float32;
  /** Whether XLA compiles our graphs. */
  readonly xla: boolean;
  readonly threads: number;
  readonly repetitions: number;
  /** As in `TimingOptions`. */
  readonly patience: number;
  /** Names of our variants and of PyTorch's; those that a task does not have are left out. */
  readonly ours: readonly string[];
  readonly torch: readonly string[];
  readonly say: (line: string) => void;
}

/** What came out. */
export interface CaseResult {
  readonly name: string;
  readonly shapes: string;
  /** Tokens of a step, and steps of a repetition. */
  readonly tokens: number;
  readonly steps: number;
  readonly parameters: number;
  /** Of a training step; null for other tasks. */
  readonly operations: number | null;
  /** 10⁹ operations a second: the best of some large matrix products in our process; null where there are no operations. */
  readonly peakGflops: number | null;
  readonly versions: Readonly<Record<string, string>>;
  /** Milliseconds of repetitions. */
  readonly timed: readonly Timed[];
  readonly ratios: readonly Ratio[];
  readonly failed: readonly Failed[];
  /** For each repetition, the largest share of a core that other programs took meanwhile. */
  readonly others: readonly number[];
}

/**
 * Measures a case.
 * @throws InvariantError where the two sides are not the same model, or do not start from the same loss
 */
export async function measureCase(given: Case, options: MeasureOptions): Promise<CaseResult> {
  const { repetitions, patience, say, float32, torch } = options;
  const folder = mkdtempSync(join(tmpdir(), 'bench-torch-'));
  const closing: (() => void | Promise<void>)[] = [() => rmSync(folder, { recursive: true })];
  try {
    const variants = torchVariants[given.task].filter((name) => torch.includes(name));
    const twin = options.python === null ? null : await twinOf(given, options.python, { ...options, folder, variants });
    if (twin !== null) closing.push(twin.close);
    const parameters = parametersOf(given, headsOf(given.task)[0] ?? 'tokens');
    if (twin !== null) checkSameModel(given, parameters, twin);

    const ours = options.ours.map((variant) => ourProgram(given, variant, options, closing));
    const present = twin === null ? [] : variants.filter((name) => !(name in twin.skipped));
    const theirs = present.map((name) => torchProgram(name, float32, twin as Twin));
    const llama = await llamaOf(given, options, folder);
    if (llama !== null) closing.push(llama.close);
    say(`${given.name}: ${parameters.toLocaleString('en-US')} parameters, ${given.shapes}`);
    const operations = stepOperations(given);
    const peakGflops = operations === null ? null : Math.max(...Array.from({ length: PEAKS }, productSpeed));
    const { timed, failed, others } = await timeInTurn([...ours, ...theirs, ...(llama === null ? [] : [llama])], {
      warmUps: WARM_UPS,
      repetitions,
      patience,
      busyMs,
      onFirst: ({ side, variant }) => say(`  ${side} ${variant}`),
    });
    checkFirstValues(given, timed);
    const left = Object.entries(twin?.skipped ?? {}).map(
      ([name, why]): Failed => ({ ...torchName(name, float32), why }),
    );
    const { name, shapes, tokens, steps } = given;
    const measured = { timed, ratios: ratiosOf(timed), failed: [...left, ...failed], others };
    const versions = { ...twin?.versions, ...(llama !== null && { 'llama.cpp': llama.release }) };
    return { name, shapes, tokens, steps, parameters, operations, peakGflops, versions, ...measured };
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** PyTorch set up with the weights that ours start from. */
function twinOf(
  given: Case,
  python: string,
  options: Pick<MeasureOptions, 'device' | 'float32' | 'threads'> & { folder: string; variants: readonly string[] },
): Promise<Twin> {
  const { float32, threads, folder, variants } = options;
  const folders =
    given.modelFolder === undefined ? writeAll(given, folder) : useFolder(given, given.modelFolder, folder);
  const { dimensions: _, ...content } = given;
  const device = options.device === 'gpu' ? 'cuda' : 'cpu';
  return openTwin(python, { ...content, folders, device, float32, threads, variants });
}

/** llama.cpp on a case that it can generate. */
async function llamaOf(given: Case, { llama, threads }: MeasureOptions, folder: string): Promise<LlamaProgram | null> {
  if (llama === null || given.task !== 'generate' || given.modelFolder === undefined) return null;
  return openLlama(given, { library: llama, folder, threads });
}

/** Processor time of everything on the machine since it started. */
function busyMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

/** The models of a task by their heads; the first is the one whose size is reported. */
function headsOf(task: TaskName): readonly HeadKind[] {
  const heads = {
    train: ['tokens'],
    lora: ['tokens'],
    reward: ['score'],
    generate: ['tokens'],
    ppo: ['tokens', 'score'],
  } as const;
  return heads[task];
}

/** Folders of a model on disk, and of the adapters that both sides start from. */
function useFolder(given: Case, modelFolder: string, parent: string): Record<string, string> {
  if (given.task !== 'lora') return { tokens: modelFolder };
  const adapter = join(parent, 'adapter');
  mkdirSync(adapter);
  const model = startingModel(given, 'tokens');
  writeAdapterFolder(adapter, model, modelFolder);
  disposeModel(model);
  return { tokens: modelFolder, adapter };
}

function writeAll(given: Case, parent: string): Record<string, string> {
  return Object.fromEntries(headsOf(given.task).map((head) => [head, writeWeights(given, head, parent)]));
}

/** Writes what both sides start from as transformers reads it; gives the folder. */
function writeWeights(given: Case, head: HeadKind, parent: string): string {
  const folder = join(parent, head);
  mkdirSync(folder);
  // No token of a case is padding, so neither id is ever looked at.
  const special = { padId: 0, bosId: null, eosId: 0 };
  const options = { dtype: 'float32' } as const;
  const config = huggingFaceConfig(given.dimensions, head, special, options);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const model = startingModel(given, head);
  writeWeightFiles(folder, fileTensors(given.dimensions, head, hostValues(model)), { dtype: 'F32' });
  disposeModel(model);
  return folder;
}

function ourProgram(
  given: Case,
  variant: string,
  { float32, device, xla }: Pick<MeasureOptions, 'float32' | 'device' | 'xla'>,
  closing: (() => void)[],
): Program {
  const options = ourVariants[variant];
  if (options === undefined) throw new InvariantError(`bench: our side has no variant "${variant}".`);
  const opened = openOurs(given, { ...options, bfloat16Products: multipliesBfloat16(device), xla });
  closing.push(opened.close);
  const repetition = async () => {
    const [began, busy, nodes] = [performance.now(), process.cpuUsage(), graphNodes()];
    const value = await opened.step();
    for (let step = 1; step < given.steps; step++) await opened.step();
    settle();
    const { user, system } = process.cpuUsage(busy);
    const cpuMs = (user + system) / 1000;
    const after = graphNodes();
    // A graph that has grown too large is closed, and the next begins at 0.
    return { ms: performance.now() - began, cpuMs, value, nodes: after < nodes ? after : after - nodes };
  };
  return { side: 'ours', variant, precision: options.precision === 'bf16' ? 'bf16' : float32, repetition };
}

/** Nodes of all graphs in this process. */
function graphNodes(): number {
  return openEngine()?.graph.nodes ?? 0;
}

function torchName(variant: string, float32: Float32): ProgramName {
  return { side: 'torch', variant, precision: variant.startsWith('bf16') ? 'bf16' : float32 };
}

function torchProgram(variant: string, float32: Float32, twin: Twin): Program {
  return { ...torchName(variant, float32), repetition: () => twin.run(variant) };
}

function checkSameModel({ name }: Case, parameters: number, twin: Twin): void {
  if (twin.parameters === parameters) return;
  throw new InvariantError(
    `${name}: our model has ${parameters} parameters and PyTorch's ${twin.parameters}; expected the same model on both sides.`,
  );
}

/**
 * Losses before any update, and numbers of drawn tokens. PyTorch's variants share their weights, so only the first of
 * them starts where ours do; what is not float32 may differ.
 */
function checkFirstValues({ name, task }: Case, timed: readonly Timed[]): void {
  const reference = timed.find(({ side }) => side === 'torch');
  if (reference === undefined || reference.precision !== 'f32') return;
  const isLoss = task === 'train' || task === 'lora' || task === 'reward';
  const tolerance = isLoss ? SAME_LOSS * Math.abs(reference.firstValue) : 0;
  for (const { side, variant, precision, firstValue } of timed) {
    if (isLoss && (side === 'torch' || precision !== 'f32')) continue;
    if (Math.abs(firstValue - reference.firstValue) <= tolerance) continue;
    const what = isLoss ? 'a first loss' : 'a number of drawn tokens';
    throw new InvariantError(
      `${name}: ${side} ${variant} has ${what} of ${firstValue} and torch ${reference.variant} of ${reference.firstValue}; expected the same.`,
    );
  }
}
