/** Tries an addon in a child process, so that a library that crashes on this processor cannot take the caller with it. */

import { LaneError } from '../errors.ts';
import { runProgram, tellingLine } from './programs.ts';

export interface VerifiedAddon {
  tensorflow: string;
  device: 'cpu' | 'gpu';
}

/** [1 2; 3 4]² must be [7 10; 15 22]; 1 is TF_FLOAT. */
const trial = `
const addon = require(process.argv[1]);
const matrix = () => addon.createTensor([2, 2], 1, new Float32Array([1, 2, 3, 4]));
const attributes = [
  { name: 'transpose_a', type: addon.TF_ATTR_BOOL, value: false },
  { name: 'transpose_b', type: addon.TF_ATTR_BOOL, value: false },
  { name: 'T', type: addon.TF_ATTR_TYPE, value: 1 },
];
const [product] = addon.executeOp('MatMul', attributes, [matrix(), matrix()], 1);
const values = Array.from(addon.tensorDataSync(product.id));
if (values.join() !== '7,10,15,22') throw new Error('wrong product: ' + values.join());
console.log(JSON.stringify({ tensorflow: addon.TF_Version, device: addon.isUsingGpuDevice() ? 'gpu' : 'cpu' }));
`;

/** @throws LaneError where the addon does not load, crashes, or multiplies wrongly */
export async function verifyAddon(addon: string, environment: NodeJS.ProcessEnv): Promise<VerifiedAddon> {
  const result = await runProgram(process.execPath, ['-e', trial, addon], {
    environment: { TF_FORCE_GPU_ALLOW_GROWTH: 'true', TF_CPP_MIN_LOG_LEVEL: '2', ...environment },
    limitSeconds: 300, // a GPU that the library has no code for compiles for minutes at its first start
  });
  if (!result.ok) {
    const line = tellingLine(result.output) || result.failure;
    throw new LaneError(`${addon}: the addon does not work here (${line}; ${result.failure}).`);
  }
  return JSON.parse(result.standardOutput.split('\n').at(-1) ?? '') as VerifiedAddon;
}
