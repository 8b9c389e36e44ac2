import { expect, it } from 'vitest';
import { sessionConfig } from '../../src/graph/session-config.ts';

it('is a ConfigProto: soft placement, no merging of equal nodes, only what a call needs is placed', () => {
  // SerializeToString of TensorFlow 2.21's own config_pb2.ConfigProto with allow_soft_placement, optimizer_options.opt_level
  // L0, place_pruned_graph, and rewrite_options.common_subgraph_elimination OFF.
  expect(sessionConfig({ xla: false }).toString('hex')).toBe('380152141a0b18ffffffffffffffffff0130015203c00102');
});

it('has XLA compile every op it knows where that is asked for', () => {
  // The same with optimizer_options.global_jit_level ON_2.
  expect(sessionConfig({ xla: true }).toString('hex')).toBe('380152161a0d18ffffffffffffffffff01280230015203c00102');
});
