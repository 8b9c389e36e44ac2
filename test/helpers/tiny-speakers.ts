/** Checkpoint folders of models that know a few answers by heart, for the programs that let them speak. */
import { mkdirSync } from 'node:fs';
import { writeModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeModel } from '../../src/model/model.ts';
import { byteModel, trainedByteModel } from '../evaluation/byte-model.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

export const tinyContext = 64;

/** Writes a model over bytes, of 64 tokens of context, that answers the prompts with the targets. */
export async function writeSpeaker(folder: string, rows: readonly { prompt: string; target: string }[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const tokenizer = byteTokenizer();
  const model = await trainedByteModel(tokenizer, rows);
  writeModelFolder(folder, model, { tokenizer });
  disposeModel(model);
}

/** Writes a model with random weights. */
export function writeRandomSpeaker(folder: string, head: 'tokens' | 'score' = 'tokens'): void {
  mkdirSync(folder, { recursive: true });
  const model = byteModel(head);
  writeModelFolder(folder, model, { tokenizer: byteTokenizer() });
  disposeModel(model);
}
