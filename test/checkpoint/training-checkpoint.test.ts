/** Saving a run and going on: the next updates are those of a run that was never interrupted. */
import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { CRITIC_FOLDER, savePpo } from '../../src/checkpoint/ppo-checkpoint.ts';
import {
  lastCheckpoint,
  resumeTrained,
  saveTraining,
  startOrResume,
} from '../../src/checkpoint/training-checkpoint.ts';
import type { AdamW } from '../../src/execution/adamw.ts';
import { createAdamW, disposeAdamW } from '../../src/execution/adamw.ts';
import type { Model } from '../../src/model/model.ts';
import { disposeModel } from '../../src/model/model.ts';
import { tensorCount } from '../../src/tensor/lane.ts';
import { readParameters } from '../../src/tensor/parameters.ts';
import type { Scalar } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { asTensors } from '../helpers/tensors.ts';
import { updateParameters } from '../helpers/update-parameters.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';
import { tinyModel } from '../model/tiny-model.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const inFolder = useTemporaryFolder();
const tokenizer = byteTokenizer();
const options = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, epsilonStyle: 'pytorch', weightDecay: 0.1 } as const;

/** One update towards 0 of every parameter. */
function update({ model, adam }: { model: Model; adam: AdamW }): Float32Array {
  updateParameters(
    model.parameters,
    adam,
    [
      (weights) => ({
        loss: tf.addN(Object.values(asTensors(weights)).map((x) => tf.sum(tf.square(x)))) as Scalar,
        stats: {},
      }),
    ],
    { learningRate: 0.01, clipNorm: null, where: 'test' },
  );
  return readParameters(model.parameters).slice();
}

const neverCalled = (): Model => {
  throw new Error('a resumed run that trains a whole model needs no fresh one');
};

function dispose({ model, adam }: { model: Model; adam: AdamW }): void {
  disposeModel(model);
  disposeAdamW(adam);
}

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it('a run starts new where it is not resumed or has no checkpoint', () => {
    for (const resumed of [false, true]) {
      const started = startOrResume({ path: inFolder(), resumed }, options, () => tinyModel());
      expect(started.state).toBeUndefined();
      expect(started.adam.step).toBe(0);
      dispose(started);
    }
  });

  it('a resumed run goes on bit for bit from its last checkpoint', async () => {
    const model = tinyModel();
    const whole = { model, adam: createAdamW(model.parameters.layout, options) };
    for (let step = 1; step <= 3; step++) {
      update(whole);
      await saveTraining(inFolder(), 2, whole, tokenizer, { step });
    }
    const expected = [update(whole), update(whole)];

    expect(lastCheckpoint({ path: inFolder(), resumed: false })).toBeUndefined();
    const resumed = startOrResume<{ step: number }>({ path: inFolder(), resumed: true }, options, neverCalled);
    expect(resumed.state).toEqual({ step: 3 });
    expect([update(resumed), update(resumed)]).toEqual(expected);
    dispose(whole);
    dispose(resumed);
  });

  it('PPO saves policy and critic with the moments of each', async () => {
    const [policy, critic] = [tinyModel('llama', 'tokens', 1), tinyModel('llama', 'score', 2)];
    const trained = {
      policy: { model: policy, adam: createAdamW(policy.parameters.layout, options) },
      critic: { model: critic, adam: createAdamW(critic.parameters.layout, options) },
    };
    update(trained.policy);
    update(trained.policy);
    update(trained.critic);
    await savePpo(inFolder(), 1, trained, tokenizer, { step: 12 });
    const last = lastCheckpoint<{ step: number }>({ path: inFolder(), resumed: true })!;
    expect(last.state).toEqual({ step: 12, updates: { policy: 2, critic: 1 } });
    expect(readdirSync(last.path).sort()).toEqual([
      'config.json',
      CRITIC_FOLDER,
      'generation_config.json',
      'model.safetensors',
      'optimizer.safetensors',
      'state.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const found = {
      policy: resumeTrained(last.path, options, 2, neverCalled),
      critic: resumeTrained(`${last.path}/${CRITIC_FOLDER}`, options, 1, neverCalled),
    };
    expect([found.policy.model.head, found.critic.model.head]).toEqual(['tokens', 'score']);
    expect(update(found.policy)).toEqual(update(trained.policy));
    expect(update(found.critic)).toEqual(update(trained.critic));
    for (const each of [trained.policy, trained.critic, found.policy, found.critic]) dispose(each);
  });

  it('leaves no tensors behind', async () => {
    const round = async (): Promise<void> => {
      const started = startOrResume<{ step: number }>({ path: inFolder(), resumed: true }, options, () => tinyModel());
      const step = (started.state?.step ?? 0) + 1;
      update(started);
      await saveTraining(inFolder(), 1, started, tokenizer, { step });
      dispose(started);
    };
    await round();
    const before = tensorCount();
    await round();
    expect(tensorCount()).toBe(before);
  });
});
