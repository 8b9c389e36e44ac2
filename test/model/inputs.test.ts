import { beforeAll, describe, expect, it } from 'vitest';
import { InvariantError } from '../../src/errors.ts';
import { biasOf, decoderInputs, disposeInputs, stepInputs } from '../../src/model/inputs.ts';
import { MASKED_SCORE } from '../../src/tensor/attention.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { expectNeutral } from '../tensor/neutral.ts';
import { tinyDimensions } from './tiny-model.ts';

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  /** Which keys (columns) each token (row) may attend to, as 1 and 0. */
  const visible = (bias: { dataSync(): ArrayLike<number> }, width: number): string[] => {
    const flags = Array.from(bias.dataSync(), (value) =>
      value === 0 ? 1 : value === Math.fround(MASKED_SCORE) ? 0 : 'x',
    );
    return Array.from({ length: flags.length / width }, (_, i) => flags.slice(i * width, (i + 1) * width).join(''));
  };

  it('lets a token see itself and what is before it in its segment; padding sees itself alone', () => {
    const segments = Int32Array.of(1, 1, 2, 2, 0, 0, 0, 1, 1, 1);
    const tokens = {
      batch: 2,
      seq: 5,
      ids: segments,
      segments,
      positions: Int32Array.of(0, 1, 0, 1, 0, 0, 0, 0, 1, 2),
    };
    const inputs = decoderInputs(tinyDimensions.gpt2, tokens);
    expect(biasOf(inputs, null).shape).toEqual([2, 1, 5, 5]);
    expect(visible(biasOf(inputs, null), 5)).toEqual([
      ...['10000', '11000', '00100', '00110', '00001'],
      ...['10000', '01000', '00100', '00110', '00111'],
    ]);
    expect([...inputs.ids.dataSync()]).toEqual([...segments]);
    expect([...inputs.positions.dataSync()]).toEqual([...tokens.positions]);
    expect([inputs.ids.dtype, inputs.positions.dtype, inputs.rotary]).toEqual(['int32', 'int32', null]);
    disposeInputs(inputs);
  });

  it('reads one token beside its cache, where the caller says what is visible', () => {
    const step = { ids: Int32Array.of(5, 6), positions: Int32Array.of(1, 2), visible: Uint8Array.of(0, 1, 1, 1, 1, 1) };
    const inputs = stepInputs(tinyDimensions.llama, step);
    expect([inputs.batch, inputs.seq, biasOf(inputs, null).shape]).toEqual([2, 1, [2, 1, 1, 3]]);
    expect(visible(biasOf(inputs, null), 3)).toEqual(['011', '111']);
    expect(inputs.rotary?.cos.shape).toEqual([2, 1, 1, 4]);
    disposeInputs(inputs);
  });

  it('refuses to decode with a model whose earlier tokens attend to later ones', () => {
    const step = { ids: Int32Array.of(5), positions: Int32Array.of(1), visible: Uint8Array.of(1, 1) };
    expect(() => stepInputs({ ...tinyDimensions.gpt2, attention: 'full' }, step)).toThrow(
      new InvariantError(
        'decoding: expected a model of causal attention, received one of full attention, which cannot write token by ' +
          'token. Read it with whole passes.',
      ),
    );
  });

  it('keeps copies: arrays may be used again at once', () => {
    const ids = Int32Array.of(5, 6);
    const inputs = stepInputs(tinyDimensions.llama, {
      ids,
      positions: Int32Array.of(0, 0),
      visible: Uint8Array.of(1, 1),
    });
    ids.fill(9);
    expect([...inputs.ids.dataSync()]).toEqual([5, 6]);
    disposeInputs(inputs);
  });

  it('leaves no tensors behind', () => {
    const ones = Int32Array.of(1, 1);
    for (const dimensions of Object.values(tinyDimensions)) {
      expectNeutral(() => {
        const tokens = { batch: 1, seq: 2, ids: ones, segments: ones, positions: Int32Array.of(0, 1) };
        disposeInputs(decoderInputs(dimensions, tokens));
        disposeInputs(stepInputs(dimensions, { ids: ones, positions: ones, visible: Uint8Array.of(1, 1) }));
      });
    }
  });
});
