/** Opens the lane that tensors run on: chooses among tensorflow, webgpu, wasm and cpu, and says which and why. */

import { errorMessage, LaneError } from '../errors.ts';
import type { NativeBuild } from '../lanes/compile-native.ts';
import { nativeBuild } from '../lanes/compile-native.ts';
import { hasGpuHint } from '../lanes/hardware.ts';
import { addonBackend } from './addon.ts';
import { type Opened, openCpu, openTensorflow, openWasm } from './backends.ts';
import { loadNativeOps, useNativeOps, useNativeProducts } from './native-ops.ts';
import { tensorFloat32 } from './tensor-float-32.ts';
import { tf } from './tf.ts';
import { openWebgpu } from './webgpu.ts';

export const laneNames = ['tensorflow', 'wasm', 'webgpu', 'cpu'] as const;
export type LaneName = (typeof laneNames)[number];

export type NativeChoice = 'auto' | 'on' | 'off';

export interface RuntimeOptions {
  backend: 'auto' | LaneName;
  device: 'auto' | 'gpu' | 'cpu';
  /** What float32 matrices are multiplied in on a GPU: `tf32` allows TensorFloat-32, all else keeps float32. */
  precision?: 'f32' | 'tf32' | 'bf16';
  /** Our own ops, which only the tensorflow lane has, on a CPU: `auto` where set-up has built them, `on` fails elsewhere. */
  native?: NativeChoice;
}

export interface Lane {
  name: LaneName;
  device: 'cpu' | 'gpu';
  /** Versions of the libraries behind the lane, for manifests. */
  versions: Record<string, string>;
  /** One line for people: which lane, why not a better one, and the command that fixes it. */
  note: string;
}

const openers: Record<LaneName, (device: RuntimeOptions['device']) => Promise<Opened>> = {
  tensorflow: openTensorflow,
  webgpu: openWebgpu,
  wasm: openWasm,
  cpu: openCpu,
};

/**
 * Makes a lane current for every tensor made from now on. `auto` takes the best that works for training: tensorflow,
 * then wasm, then cpu; webgpu only when named. PLUMBLINE_BACKEND replaces `auto`; PLUMBLINE_NO_TENSORFLOW=1 keeps
 * `auto` off tensorflow.
 *
 * @throws LaneError where a named backend or device cannot be had. `gpu` without a GPU is an error, never a CPU run;
 *   nor is a GPU taken whose precision cannot be set
 */
export async function openLane(options: RuntimeOptions): Promise<Lane> {
  const backend = options.backend === 'auto' ? backendFromEnvironment() : options.backend;
  if (backend !== 'auto') return openNamed(backend, options);

  const refusals: string[] = [];
  for (const name of options.native === 'on' ? (['tensorflow'] as const) : candidates(options.device)) {
    const refusal = refusedUnseen(name);
    if (refusal) {
      refusals.push(`${name}: ${refusal}`);
      continue;
    }
    try {
      const opened = await open(name, options);
      return describe(name, opened, refusals);
    } catch (error) {
      refusals.push(`${name}: ${errorMessage(error)}`);
    }
  }
  const what =
    options.native === 'on'
      ? 'runtime.native: no lane has native ops here. Use runtime.native=auto, or mend this:'
      : `runtime.device: no lane with device "${options.device}" works here. Use runtime.device=auto, or mend one of these:`;
  throw new LaneError([what, ...refusals.map((refusal) => `  ${refusal}`)]);
}

/** The lane in use. Before `openLane` this is `cpu`. */
export function currentLane(): LaneName {
  return tf.getBackend() as LaneName;
}

/**
 * Live tensors. On tensorflow the addon's own handles are counted, because step functions make tensors that
 * TensorFlow.js does not see; a tensor that no operation has read yet has no handle there.
 */
export function tensorCount(): number {
  if (currentLane() !== 'tensorflow') return tf.memory().numTensors;
  return addonBackend().getNumOfTFTensors();
}

function backendFromEnvironment(): 'auto' | LaneName {
  const name = process.env.PLUMBLINE_BACKEND || 'auto';
  if (name === 'auto' || (laneNames as readonly string[]).includes(name)) return name as 'auto' | LaneName;
  throw new LaneError(
    `PLUMBLINE_BACKEND: unknown lane; expected auto or one of ${laneNames.join(', ')}, received "${name}". Unset it or correct it.`,
  );
}

function candidates(device: RuntimeOptions['device']): LaneName[] {
  if (device === 'gpu') return ['tensorflow', 'webgpu'];
  return device === 'cpu' ? ['tensorflow', 'wasm', 'cpu'] : ['tensorflow', 'webgpu', 'wasm', 'cpu'];
}

/** Reasons not to try a lane at all under `auto`. */
function refusedUnseen(name: LaneName): string | undefined {
  if (name === 'tensorflow' && process.env.PLUMBLINE_NO_TENSORFLOW === '1') {
    return 'switched off by PLUMBLINE_NO_TENSORFLOW=1. Unset it and run npm run setup.';
  }
  // Steps read losses and logits between operations. In Node WebGPU's buffers can only be read asynchronously.
  if (name === 'webgpu') {
    return hasGpuHint()
      ? 'training reads its results synchronously, which WebGPU cannot do in Node.'
      : 'no GPU was found on this machine.';
  }
  return undefined;
}

async function open(name: LaneName, options: RuntimeOptions): Promise<Opened> {
  const opened = await openers[name](options.device);
  // Once for the process, before the first product: plans of cuBLASLt keep what they were made with.
  if (name === 'tensorflow' && opened.device === 'gpu') tensorFloat32().allow(options.precision === 'tf32');
  useNativeOps(false);
  return withNativeOps(opened, options.native ?? 'off', name === 'tensorflow' && opened.device === 'cpu');
}

/**
 * Uses our own ops where that is asked for and possible.
 * @throws Error where they have to be used and cannot
 */
function withNativeOps(opened: Opened, native: NativeChoice, canHave: boolean): Opened {
  if (native === 'off' || (native === 'auto' && !canHave)) return opened;
  try {
    if (!canHave) throw new Error('they are for the tensorflow lane on a CPU.');
    const { products, says } = loadBuiltOps();
    useNativeOps(true);
    useNativeProducts(products === 'native');
    const ops = products === 'native' ? 'native ops' : "native ops but TensorFlow's products";
    return {
      ...opened,
      what: opened.what.replace(/\)$/, `, ${ops})`),
      versions: { ...opened.versions, nativeOps: says },
    };
  } catch (error) {
    const refusal = `no native ops: ${errorMessage(error)}`;
    if (native === 'on') throw new Error(refusal, { cause: error });
    return { ...opened, hint: opened.hint === undefined ? `But ${refusal}` : `${opened.hint} And ${refusal}` };
  }
}

/** @returns what set-up found out about them */
function loadBuiltOps(): NativeBuild {
  const built = nativeBuild();
  if (!built?.file) throw new Error(built?.says ?? 'they are not built. Run npm run setup.');
  loadNativeOps(built.file);
  return built;
}

async function openNamed(name: LaneName, options: RuntimeOptions): Promise<Lane> {
  try {
    return describe(name, await open(name, options), []);
  } catch (error) {
    throw new LaneError(`runtime.backend ${name}, runtime.device ${options.device}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

function describe(name: LaneName, opened: Opened, refusals: readonly string[]): Lane {
  const remarks = [...refusals.map((refusal) => `Not ${refusal}`), ...(opened.hint ? [opened.hint] : [])];
  return {
    name,
    device: opened.device,
    versions: { node: process.version, tfjs: tf.version.tfjs, ...opened.versions },
    note: [`lane ${name} on ${opened.what}.`, ...remarks].join(' '),
  };
}
