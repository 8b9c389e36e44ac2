/** Checking configurations and what they name, without running anything. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { validate } from '../../scripts/validate.ts';
import { allStages } from '../../stages/all.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { Changes } from '../helpers/tiny-configs.ts';
import {
  evaluateSettings,
  instructSettings,
  ppoSettings,
  preferencesSettings,
  pretrainSettings,
  rewardSettings,
  tinyRuns,
} from '../helpers/tiny-configs.ts';
import { useSharedFolder } from '../helpers/tiny-runs.ts';
import type { TinyWorld } from '../helpers/tiny-world.ts';
import { copyWorld, makeTinyWorld } from '../helpers/tiny-world.ts';

const path = useSharedFolder();
let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld(path('world'));
});

/** Writes settings as a file, with the comment that names their schema where one is given. */
function file(name: string, settings: Changes, schema?: string): string {
  const comment = schema === undefined ? '' : `# yaml-language-server: $schema=../schema/${schema}.schema.json\n`;
  writeFileSync(path(name), comment + JSON.stringify(settings));
  return path(name);
}
const problems = (...args: Parameters<typeof validate>) => problemsOf(() => validate(...args), path());

describe('validate', () => {
  it('finds the stage by the comment, the folder or the name of the file, or by an argument', async () => {
    const settings = rewardSettings(world, world.base, path('run'));
    const named = await validate(file('named.yaml', settings, 'reward'));
    expect(named[0]).toBe(`${path('named.yaml')}: a configuration of reward`);
    expect(named[1]).toMatch(/^train {5}6 pairs, /);
    mkdirSync(path('configs/reward'), { recursive: true });
    for (const place of ['configs/reward/mine.yaml', 'reward.yaml']) {
      const found = await validate(file(place, settings), ['training.epochs=1']);
      expect(found.slice(0, 3)).toEqual([`${path(place)}: a configuration of reward`, ...named.slice(1, 3)]);
      expect(found[3]).toBe('2 steps');
    }
    expect((await validate(file('told.yaml', settings), [], 'reward')).slice(1)).toEqual(named.slice(1));
    expect(existsSync(path('run'))).toBe(false);
    const slip = { ...settings, evaluation: { everySteps: 0 } };
    expect(await problems(file('slip.yaml', slip, 'reward'))).toEqual([
      expect.stringMatching(/^slip\.yaml:2:\d+ evaluation\.everySteps: expected a number above 0, received 0\.$/),
    ]);
  });

  it('says so where nothing tells the stage, or two things tell two, and guesses nothing', async () => {
    const names = [...allStages.map(({ name }) => name), 'align'].join(', ');
    const unclear = (name: string) =>
      `${name}: it is not clear what it configures; expected one of ${names}. Write as its first line ` +
      '# yaml-language-server: $schema=../schema/<name>.schema.json, put it into a folder of that name, or add --stage <name>.';
    expect(await problems(file('odd.yaml', rewardSettings(world, world.base, 'x')))).toEqual([unclear('odd.yaml')]);
    mkdirSync(path('reward'), { recursive: true });
    expect(await problems(file('reward/ppo.yaml', {}))).toEqual([unclear('reward/ppo.yaml')]);
    expect(await problems(file('other.yaml', {}, 'rewards'))).toEqual([
      `other.yaml: its $schema comment names rewards; expected one of ${names}. Correct the comment.`,
    ]);
    expect(await problems(file('told.yaml', {}), [], 'rewards')).toEqual([
      `argument "--stage rewards": is no program; expected one of ${names}. Correct the argument.`,
    ]);
    expect(await problems(path('none.yaml'))).toEqual([
      'none.yaml: there is no such file. Name an existing configuration, e.g. one under configs/.',
    ]);
  });

  it('counts the corpus of stage 0', async () => {
    const lines = await validate(file('pretrain.yaml', pretrainSettings(world, path('run')), 'pretrain'));
    expect(lines[1]).toMatch(/^corpus {4}\d+ rows of 64 tokens$/);
    expect(lines[2]).toMatch(/^held out {2}\d+ rows$/);
    expect(lines[3]).toMatch(/^4 steps of 4 rows: \d+\.\d passes$/);
  });

  it('counts the prompts of the preference pairs', async () => {
    const settings = preferencesSettings(world, world.base, path('run'));
    const lines = await validate(file('preferences.yaml', settings, 'preferences'));
    expect(lines[1]).toMatch(/^prompts {2}8 prompts, longest \d+ tokens$/);
    expect(lines[2]).toBe('32 answers, at most 24 pairs, those of 2 prompts held out');
  });

  it('reports what is wrong with data and parents, and leaves no run behind', async () => {
    mkdirSync(path('spoilt'));
    const spoilt = copyWorld(world, path('spoilt'));
    rmSync(spoilt.pairs);
    const settings = rewardSettings(spoilt, spoilt.base, path('run'));
    expect((await problems(file('missing.yaml', settings, 'reward')))[0]).toContain(
      'train.arrow: there is no such file or folder; expected preference pairs. Correct the path.',
    );
    const nowhere = rewardSettings(world, path('nowhere'), path('run'));
    expect(await problems(file('parent.yaml', nowhere, 'reward'))).toEqual([
      'instruct model nowhere: there is no such folder. Run the stage that makes it, or correct the path.',
    ]);
    expect(existsSync(path('run'))).toBe(false);
  });

  it('checks the stages of a chain as far as what they read is there', async () => {
    const runs = tinyRuns('set by the chain');
    const stages = {
      instruct: file('instruct.yaml', instructSettings(world, 'x')),
      preferences: file('pairs.yaml', preferencesSettings(world, 'x', 'x')),
      reward: file('reward.yaml', rewardSettings(world, 'x', 'x')),
      ppo: file('ppo.yaml', ppoSettings(world, runs, 'x')),
      evaluate: file('evaluate.yaml', evaluateSettings(world, runs, 'x')),
    };
    const settings = { run: { folder: path('chain') }, base: world.base, stages };
    const lines = await validate(file('align.yaml', settings, 'align'));
    expect(lines[1]).toBe('instruct:');
    expect(lines).toContain('preferences: reads what instruct will make; its configuration is right');
    expect(lines).toContain('ppo: reads what instruct and reward will make; its configuration is right');
    const broken = { ...settings, base: path('nowhere') };
    expect((await problems(file('broken.yaml', broken, 'align')))[0]).toMatch(/ nowhere: there is no such folder\./);
  });
});
