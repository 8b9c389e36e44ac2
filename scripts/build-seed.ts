/** Writes everything the valley consists of into data/corpus and data/seed. Run: npm run seed */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atomicWrite } from '../src/files/atomic-write.ts';
import { buildSeedFiles, worldSeed } from '../src/worlds/valley/texts/seed-files.ts';

const data = fileURLToPath(new URL('../data', import.meta.url));

for (const [path, content] of buildSeedFiles(worldSeed, join(data, 'templates'))) {
  await atomicWrite(join(data, path), content);
  console.log(`data/${path}: ${content.split('\n').length - 1} lines, ${Math.ceil(content.length / 1024)} KiB`);
}
