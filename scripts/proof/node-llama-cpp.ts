/** llama.cpp through npm's node-llama-cpp, which is never a dependency here: it is installed in a folder of its own. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError } from '../../src/errors.ts';

/** What is used of node-llama-cpp 3. */
export interface LlamaCpp {
  getLlama(options: { gpu: false; build: 'never' }): Promise<Llama>;
}

export interface Llama {
  readonly llamaCppRelease: { readonly release: string };
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

export interface LlamaModel {
  tokenize(text: string, specialTokens: boolean): number[];
  createContext(options: LlamaContextOptions): Promise<{ getSequence(): LlamaSequence }>;
  dispose(): Promise<void>;
}

interface LlamaContextOptions {
  /** Tokens of each sequence. */
  contextSize: number;
  /** Tokens read at once, over all sequences. */
  batchSize?: number;
  sequences?: number;
  threads: number;
}

export interface LlamaSequence {
  /** Greedy tokens; goes on after one that ends a text. */
  evaluate(ids: number[], options: { temperature: 0; yieldEogToken: true }): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

/** @throws ConfigError where the folder does not have it, saying what to run */
export async function openLlamaCpp(folder: string): Promise<LlamaCpp> {
  const entry = resolve(folder, 'node_modules/node-llama-cpp/dist/index.js');
  if (!existsSync(entry)) {
    throw new ConfigError(
      `--llama ${folder}: has no node_modules/node-llama-cpp. Run "npm install node-llama-cpp" in a folder of its own and name that.`,
    );
  }
  return (await import(pathToFileURL(entry).href)) as LlamaCpp;
}
