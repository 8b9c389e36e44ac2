/** The one door to TensorFlow.js: every other file takes `tf` and its types from here, so there is one copy of it. */

import { createRequire } from 'node:module';
import type * as TF from '@tensorflow/tfjs';

const require = createRequire(import.meta.url);

// TensorFlow.js 4.22 calls two functions that Node 23 removed from node:util (tensorflow/tfjs#8425, unreleased).
const util = require('node:util') as Record<string, unknown>;
util.isNullOrUndefined = (value: unknown) => value === null || value === undefined;
util.isArray = Array.isArray;

// Must be set before the addon loads: C++ log noise off, and no grabbing of all GPU memory. The addon's context makes the
// one allocator of a GPU, with options that cannot be passed to it; our own sessions are served by the same allocator,
// whatever their options say (tensorflow/core/common_runtime/gpu/gpu_process_state.cc).
process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';

/**
 * TensorFlow.js: the CommonJS build, because the addon and the other backends register on that instance. Two copies
 * (one as an ES module) would each miss the other's kernels and gradients.
 */
export const tf = require('@tensorflow/tfjs') as typeof TF;

// The pure JavaScript backend greets on its first tensor ("Hi, looks like you are running TensorFlow.js in Node.js")
// and advises another package; which lane runs, and why, is said by `openLane` instead.
void tf.setBackend('cpu');
(tf.findBackend('cpu') as { firstUse?: boolean }).firstUse = false;

/** Loads a backend package beside `tf`, from the same CommonJS world. */
export function requireBackend(name: string): unknown {
  return require(name);
}

export type Tensor<R extends TF.Rank = TF.Rank> = TF.Tensor<R>;
export type Tensor1D = TF.Tensor1D;
export type Tensor2D = TF.Tensor2D;
export type Tensor4D = TF.Tensor4D;
export type Scalar = TF.Scalar;
