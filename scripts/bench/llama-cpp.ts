/** llama.cpp beside ours: the model of a case as a GGUF file in F16, generated from in this process. */
import { join } from 'node:path';
import { InvariantError } from '../../src/errors.ts';
import { exportGguf } from '../../src/gguf/export-gguf.ts';
import type { LlamaSequence } from '../proof/node-llama-cpp.ts';
import { openLlamaCpp } from '../proof/node-llama-cpp.ts';
import type { GenerateCase } from './cases.ts';
import type { Program } from './compare.ts';

/** What one generation is measured with. */
export interface LlamaOptions {
  /** Folder in which node-llama-cpp is installed. */
  readonly library: string;
  /** Folder that exists, for the GGUF file. */
  readonly folder: string;
  readonly threads: number;
}

/** A program that can be timed, with what it is and holds. */
export interface LlamaProgram extends Program {
  /** Of llama.cpp: "b6000". */
  readonly release: string;
  close(): Promise<void>;
}

/**
 * All prompts as sequences of one context, so that a step reads a token of each. The next token is the most likely one,
 * which is the least that llama.cpp can do for it: drawing from the whole vocabulary, as the others do, would cost it more.
 * @throws ConfigError where node-llama-cpp is not there
 */
export async function openLlama(
  given: GenerateCase,
  { library, folder, threads }: LlamaOptions,
): Promise<LlamaProgram> {
  const { prompts, newTokens, steps, modelFolder, name } = given;
  if (modelFolder === undefined) throw new InvariantError(`${name}: llama.cpp reads models from disk only.`);
  const { getLlama } = await openLlamaCpp(library);
  const modelPath = join(folder, 'model.gguf');
  await exportGguf(modelFolder, 'F16', modelPath, name);
  const llama = await getLlama({ gpu: false, build: 'never' });
  const model = await llama.loadModel({ modelPath });
  const longest = Math.max(...prompts.map(({ length }) => length));
  const [contextSize, batchSize] = [longest + newTokens, longest * prompts.length];
  const context = await model.createContext({ contextSize, batchSize, sequences: prompts.length, threads });
  const rows = prompts.map((prompt) => ({ prompt, sequence: context.getSequence() }));
  const draw = async (): Promise<number> => {
    const counts = await Promise.all(rows.map(({ prompt, sequence }) => tokensOf(sequence, prompt, newTokens)));
    for (const { sequence } of rows) await sequence.clearHistory();
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const repetition = async () => {
    const [began, busy] = [performance.now(), process.cpuUsage()];
    let value = 0;
    for (let step = 0; step < steps; step++) value = await draw();
    const { user, system } = process.cpuUsage(busy);
    return { ms: performance.now() - began, cpuMs: (user + system) / 1000, value, nodes: null };
  };
  const close = async (): Promise<void> => {
    await model.dispose();
    await llama.dispose();
  };
  const { release } = llama.llamaCppRelease;
  return { side: 'llama.cpp', variant: 'greedy', precision: 'f16', repetition, release, close };
}

async function tokensOf(sequence: LlamaSequence, prompt: readonly number[], most: number): Promise<number> {
  let count = 0;
  for await (const _ of sequence.evaluate([...prompt], { temperature: 0, yieldEogToken: true })) {
    if (++count === most) break;
  }
  return count;
}
