import { expect, it } from 'vitest';
import { sessionConfig } from '../../src/graph/session-config.ts';

it('is a ConfigProto: soft placement, no merging of equal nodes, only what a call needs is placed', () => {
  // SerializeToString of TensorFlow 2.21's own config_pb2.ConfigProto with allow_soft_placement, optimizer_options.opt_level
  // L0, place_pruned_graph, and rewrite_options.common_subgraph_elimination OFF.
  expect(sessionConfig().toString('hex')).toBe('380152141a0b18ffffffffffffffffff0130015203c00102');
});
