/** The loss of distillation against PyTorch float64: values and gradients. */
import { beforeAll, describe, expect, it } from 'vitest';
import { distillLoss } from '../../src/objectives/distill.ts';
import type { Scalar, Tensor1D, Tensor2D } from '../../src/tensor/tf.ts';
import { tf } from '../../src/tensor/tf.ts';
import { tolerance } from '../helpers/allclose.ts';
import type { FixtureTensor } from '../helpers/fixtures.ts';
import { fixture, take, upload, uploadIntegers } from '../helpers/fixtures.ts';
import { lanesToTest, useLane } from '../helpers/use-lane.ts';

interface Case {
  readonly alpha: number;
  readonly temperature: number;
  readonly loss: number;
  readonly kl: number;
  readonly crossEntropy: number;
  readonly gradient: FixtureTensor;
}
const expected = fixture<Record<'teacher' | 'student' | 'labels' | 'mask', FixtureTensor> & { cases: Case[] }>(
  'distill.json',
);

describe.each(lanesToTest())('on the %s lane', (lane) => {
  beforeAll(async () => {
    await useLane(lane);
  });

  it.each(expected.cases)('alpha $alpha at temperature $temperature', (from) => {
    const student = upload<Tensor2D>(expected.student);
    const teacher = upload<Tensor2D>(expected.teacher);
    const labels = uploadIntegers<Tensor1D>(expected.labels);
    const mask = upload<Tensor1D>(expected.mask);
    const count = expected.mask.data.reduce((sum, flag) => sum + flag, 0);
    const terms = (logits: Tensor2D) => distillLoss({ student: logits, teacher, labels, mask, count }, from);
    const { loss, kl, crossEntropy } = terms(student);
    expect(take(loss)).toBeAllclose([from.loss], tolerance.forward);
    expect(take(kl)).toBeAllclose([from.alpha === 0 ? 0 : from.kl], tolerance.forward);
    expect(take(crossEntropy)).toBeAllclose([from.crossEntropy], tolerance.forward);
    const gradient = tf.grad((x) => terms(x as Tensor2D).loss as Scalar)(student);
    expect(take(gradient)).toBeAllclose(from.gradient.data, tolerance.gradient);
    tf.dispose([student, teacher, labels, mask]);
  });
});
