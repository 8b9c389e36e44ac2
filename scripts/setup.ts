/** `npm run setup [-- --again]`: makes the tensorflow lane where it can be had. Exits 0 either way: wasm always serves. */

import { parseArgs } from 'node:util';
import { setUpTensorflow } from '../src/lanes/setup.ts';

const { values } = parseArgs({ options: { again: { type: 'boolean', default: false } } });
const result = await setUpTensorflow({ again: values.again, say: (line) => console.log(line) });
// A test machine may insist on the lane, so that its absence does not pass as success.
if (!result.ready && process.env.PLUMBLINE_REQUIRE_LANE === 'tensorflow') process.exitCode = 1;
