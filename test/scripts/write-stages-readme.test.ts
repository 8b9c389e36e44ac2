import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { stagesReadme } from '../../scripts/write-stages-readme.ts';

it('stages/README.md explains every metric the stages write', () => {
  const text = readFileSync('stages/README.md', 'utf8');
  expect(text).toContain('policy/approx_kl_first');
  expect(text, 'run: npm run schemas').toBe(stagesReadme());
});
