import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { planInstruct } from '../../src/examples/instruct-dataset.ts';
import { checkConfig, loadConfig } from '../../src/yaml/load-config.ts';
import { InstructConfig } from '../../stages/1-instruct.config.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';

type InstructSettings = z.input<typeof InstructConfig>;

const settings = (mixture: InstructSettings['mixture']) => ({
  run: { folder: 'r' },
  model: 'm',
  data: { tables: 's', templates: 't' },
  mixture,
});

describe('the configuration of stage 1', () => {
  it('has one plain part without solved examples where nothing else is said', () => {
    const { mixture, holdOut } = checkConfig(InstructConfig, settings({}), 'test');
    expect(mixture.parts).toEqual({ plain: { share: 1, kinds: ['direct', 'inverted', 'conversation'], shots: [0] } });
    expect(holdOut).toEqual({ clusters: [], datasets: [], templates: [] });
  });

  it('refuses solved examples in front of dialogues, and a mixture without parts', async () => {
    const talk = { share: 1, kinds: ['dialogue' as const], shots: [1] };
    expect(await problemsOf(() => checkConfig(InstructConfig, settings({ parts: { talk } }), 'test'), '')).toEqual([
      expect.stringContaining('expected [0] in a part with dialogues, which have no solved examples in front'),
    ]);
    expect(await problemsOf(() => checkConfig(InstructConfig, settings({ parts: {} }), 'test'), '')).toEqual([
      expect.stringContaining('expected at least one part'),
    ]);
  });

  it.each(['tiny.yaml', 'flan.yaml'])('of configs/instruct/%s fits the shipped tasks', (name) => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    expect(readdirSync(`${root}configs/instruct`)).toContain(name);
    const config = loadConfig(InstructConfig, `${root}configs/instruct/${name}`);
    const data = { ...config.data, tables: `${root}data/seed`, templates: `${root}data/templates` };
    const { trained, heldOut, shares } = planInstruct({ ...config, data });
    expect(shares.reduce((sum, { examples }) => sum + examples, 0)).toBe(config.mixture.examples);
    const clusters = new Set(heldOut.map(({ task }) => task.cluster));
    expect(trained.filter(({ cluster }) => clusters.has(cluster))).toEqual([]);
    expect([...clusters].sort()).toEqual(name === 'flan.yaml' ? ['coreference', 'entailment', 'paraphrase'] : []);
  });
});
