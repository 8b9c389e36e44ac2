/** `npm run setup [-- --again]`: makes the tensorflow lane where it can be had. Exits 0 either way: wasm always serves. */

import { parseArgs } from 'node:util';
import { nativeBuild, setUpNativeOps } from '../src/lanes/compile-native.ts';
import { setUpTensorflow } from '../src/lanes/setup.ts';

const { values } = parseArgs({ options: { again: { type: 'boolean', default: false } } });
const say = (line: string): void => console.log(line);
const result = await setUpTensorflow({ again: values.again, say });
if (result.note?.device === 'cpu') {
  // What failed before is tried again: there may be a compiler now.
  const built = values.again ? undefined : nativeBuild();
  if (built?.file) say(`native ops ready (cached): ${built.says}`);
  else await setUpNativeOps({ again: true, say });
}
// A test machine may insist on the lane, so that its absence does not pass as success.
if (!result.ready && process.env.PLUMBLINE_REQUIRE_LANE === 'tensorflow') process.exitCode = 1;
