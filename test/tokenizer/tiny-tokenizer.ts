/** A real tokenizer without merges: every byte is a token (id 3 and up). */
import { trainBpe } from '../../src/tokenizer/bpe-training.ts';
import { createTokenizer, type Tokenizer } from '../../src/tokenizer/tokenizer.ts';
import { tokenizerFiles } from '../../src/tokenizer/tokenizer-files.ts';

export function byteTokenizer(): Tokenizer {
  return trainedTokenizer([], 259);
}

export function trainedTokenizer(texts: readonly string[], vocabSize: number): Tokenizer {
  return createTokenizer(tokenizerFiles(trainBpe(texts, vocabSize), 64), 'tiny');
}
