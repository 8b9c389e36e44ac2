/** The ConfigProto of our session, in protocol-buffer bytes (tensorflow/core/protobuf/config.proto). */

/** Field number and content: a number for a varint, bytes for a message. */
type Field = readonly [number: number, content: number | Buffer];

const OFF = 2; // RewriterConfig.Toggle
/** OptimizerOptions.GlobalJitLevel.ON_2: every op that XLA knows. */
const ALL_OPS = 2;
/** OptimizerOptions.Level.L0: no folding, no merging of equal nodes. −1 as a 64-bit varint. */
const L0 = -1;

/**
 * Equal nodes are not merged (graph_options.optimizer_options.opt_level, rewrite_options.common_subgraph_elimination):
 * merging would undo gradient checkpointing, whose second forward pass looks just like the first. Only what a call needs
 * is placed on devices (graph_options.place_pruned_graph), or every new graph would cost as much as all before it. An op
 * whose device has no kernel for it runs on the CPU (allow_soft_placement). Memory of a GPU is not set here: the
 * allocator is one for the process, made with the addon's context (src/tensor/tf.ts).
 * @param xla has XLA compile the ops of a graph into few kernels (optimizer_options.global_jit_level), on a GPU
 */
export function sessionConfig({ xla }: { readonly xla: boolean }): Buffer {
  const optimizer = message([[3, L0], ...(xla ? [[5, ALL_OPS] as const] : [])]);
  const rewrite = message([[24, OFF]]);
  return message([
    [7, 1],
    [
      10,
      message([
        [3, optimizer],
        [6, 1],
        [10, rewrite],
      ]),
    ],
  ]);
}

function message(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.map(([number, content]) =>
      typeof content === 'number'
        ? Buffer.concat([varint(BigInt(number << 3)), varint(BigInt.asUintN(64, BigInt(content)))])
        : Buffer.concat([varint(BigInt((number << 3) | 2)), varint(BigInt(content.length)), content]),
    ),
  );
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}
