/**
 * The published 260 thousand parameter story model, run greedily through our decoder: its text must come out word for word.
 * Needs stories260K.bin, tok512.bin and stories260K.upstream-doc.md (karpathy/llama2.c doc/stories260K.md) in
 * $PLUMBLINE_STORIES260K or ../shared/data/stories260k; skipped where they are not.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openLlama2c } from '../../src/checkpoint/llama2c.ts';
import { readLlama2cTokenizer } from '../../src/checkpoint/llama2c-tokenizer.ts';
import type { KeyValues } from '../../src/model/decoder.ts';
import { behind, decode } from '../../src/model/decoder.ts';
import { tokenLogits } from '../../src/model/heads.ts';
import { stepInputs } from '../../src/model/inputs.ts';
import type { Model } from '../../src/model/model.ts';
import { assembleModel, disposeModel, modelWeights, trainNothing } from '../../src/model/model.ts';
import { seededRandom } from '../../src/random.ts';
import type { Tensor } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

const folder =
  process.env.PLUMBLINE_STORIES260K ?? fileURLToPath(new URL('../../../shared/data/stories260k', import.meta.url));
const needed = ['stories260K.bin', 'tok512.bin', 'stories260K.upstream-doc.md'];
const missing = needed.filter((name) => !existsSync(join(folder, name)));
// The default reporter hides the names of skipped tests, so that this would otherwise go unseen.
if (missing.length > 0) {
  process.stderr.write(`stories260k skipped: no ${missing.join(', ')} in ${folder}. Set PLUMBLINE_STORIES260K.\n`);
}

/** What run.c prints for `-t 0.0` in the upstream document. */
function publishedText(): string {
  const document = readFileSync(join(folder, 'stories260K.upstream-doc.md'), 'utf8');
  const found = /-t 0\.0\n(.*?)\n```/s.exec(document);
  if (found === null) throw new Error('the document has no greedy example');
  return found[1] as string;
}

/** Greedy ids after BOS with a key/value cache, as run.c: until BOS comes again or the step limit. */
function greedy(model: Model, begin: number, steps: number): number[] {
  const ids: number[] = [];
  let past: KeyValues[] = [];
  let next = begin;
  for (let position = 0; position < steps; position++) {
    const result = tf.tidy(() => {
      const visible = new Uint8Array(position + 1).fill(1);
      const inputs = stepInputs(model.dimensions, {
        ids: Int32Array.of(next),
        positions: Int32Array.of(position),
        visible,
      });
      const weights = modelWeights(model);
      const { hidden, present } = decode(model.dimensions, weights, inputs, { join: behind(past) });
      return {
        best: tf.argMax(tokenLogits(model.dimensions, weights, hidden), 1),
        present: present as unknown as Tensor[],
      };
    });
    tf.dispose(past as unknown as Tensor[]);
    past = result.present as unknown as KeyValues[];
    next = result.best.dataSync()[0] as number;
    result.best.dispose();
    if (next === begin) break;
    ids.push(next);
  }
  tf.dispose(past as unknown as Tensor[]);
  return ids;
}

describe.skipIf(missing.length > 0)('the published story model', () => {
  it.each(lanesToTest())('tells its published story on the %s lane', async (lane) => {
    await useLane(lane);
    const file = openLlama2c(join(folder, 'stories260K.bin'));
    const { dimensions } = file;
    const tokenizer = readLlama2cTokenizer(readFileSync(join(folder, 'tok512.bin')), dimensions.vocab, 'tok512.bin');
    const model = assembleModel(dimensions, 'tokens', ({ name }) => file.read(name), trainNothing(), seededRandom(1));
    file.close();
    const story = tokenizer.decode(greedy(model, tokenizer.begin, 256));
    disposeModel(model);
    expect(story).toBe(publishedText());
  });
});
