import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readManifest, writeManifest } from '../../src/run/manifest.ts';
import { openParent } from '../../src/run/parents.ts';
import { openRunFolder } from '../../src/run/run-folder.ts';
import { loadTokenizer } from '../../src/tokenizer/tokenizer.ts';
import { takePadAway } from '../helpers/no-pad.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { byteTokenizer } from '../tokenizer/tiny-tokenizer.ts';

const path = useTemporaryFolder();
const lane = { name: 'cpu', device: 'cpu', versions: {} };
// sha256 of "weights", from coreutils' sha256sum.
const tokenizer = byteTokenizer();
const TOKENS = tokenizer.hash;
const WEIGHTS = 'sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c';

function writeModel(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), '{}');
  writeFileSync(join(folder, 'model.safetensors'), 'weights');
  for (const [name, text] of Object.entries(tokenizer.files)) writeFileSync(join(folder, name), text);
}

async function makeRun(status: 'finished' | 'interrupted' = 'finished', withModel = true): Promise<void> {
  const request = {
    stage: 'instruct',
    config: {},
    seed: 1,
    resume: false,
    rules: { paths: [], free: [], splits: [], variants: [], lengths: [] },
  };
  const folder = await openRunFolder(path('run'), request, lane);
  writeFileSync(path('templates.yaml'), 'a');
  await folder.recordInput('templates', path('templates.yaml'));
  if (withModel) {
    writeModel(folder.file('checkpoint/best'));
    await folder.recordOutput('model', 'checkpoint/best');
  }
  await folder.finish(status);
}
const problems = (...args: Parameters<typeof openParent>) => problemsOf(() => openParent(...args), path());

describe('openParent', () => {
  test('refuses a pipe in place of weights, instead of waiting for what never comes', async () => {
    writeModel(path('model'));
    rmSync(path('model', 'model.safetensors'));
    spawnSync('mkfifo', [path('model', 'model.safetensors')]);
    expect(await problems(path('model'), { role: 'policy' })).toEqual([
      'policy model/model.safetensors: is a pipe or a device; expected a file. Put the file itself there.',
    ]);
  });

  test('finds the model of a finished run', async () => {
    await makeRun();
    const parent = await openParent(path('run'), { role: 'policy', takes: 'language model', tokenizer: TOKENS });
    expect(parent).toMatchObject({ path: path('run'), folder: path('run', 'checkpoint', 'best'), hash: WEIGHTS });
    expect(parent.manifest?.stage).toBe('instruct');
  });

  test('takes a run by what its manifest says it is; a manifest of before by its stage', async () => {
    await makeRun();
    const manifest = readManifest(path('run'))!;
    const refused = (kind: string) => [`policy run: is a ${kind}; expected a reward model. Name another checkpoint.`];
    expect(await problems(path('run'), { role: 'policy', takes: 'reward model' })).toEqual(refused('tuned model'));
    await openParent(path('run'), { role: 'policy', takes: 'language model' });
    await writeManifest(path('run'), { ...manifest, stage: 'pretrain' });
    expect(await problems(path('run'), { role: 'policy', takes: 'tuned model' })).toEqual([
      'policy run: is a base model; expected a tuned model. Name another checkpoint.',
    ]);
    const [model] = manifest.outputs;
    await writeManifest(path('run'), { ...manifest, outputs: [{ ...model!, kind: 'reward model' }] });
    await openParent(path('run'), { role: 'policy', takes: 'reward model' });
    await writeManifest(path('run'), { ...manifest, stage: 'a stage of tomorrow' });
    expect(await problems(path('run'), { role: 'policy', takes: 'language model' })).toEqual([
      'policy run: does not say in its manifest what it is; expected a language model. Name another checkpoint.',
    ]);
  });

  test('takes a plain Hugging Face folder as it is', async () => {
    writeModel(path('base'));
    const parent = await openParent(path('base'), { role: 'policy', takes: 'reward model' });
    expect(parent).toEqual({ path: path('base'), folder: path('base'), hash: WEIGHTS, manifest: undefined });
  });

  test('compares tokenizers as they are used: with chat template and added PAD', async () => {
    writeModel(path('chat'));
    const template = '{% for m in messages %}{{ m.content }}<|eos|>{% endfor %}';
    writeFileSync(path('chat', 'chat_template.jinja'), template);
    takePadAway(path('chat'));
    const { hash } = loadTokenizer(path('chat'));
    await openParent(path('chat'), { role: 'policy', tokenizer: hash });
    expect(await problems(path('chat'), { role: 'policy', tokenizer: TOKENS })).toHaveLength(1);
    writeFileSync(path('chat', 'tokenizer.json'), '{');
    expect((await problems(path('chat'), { role: 'policy', tokenizer: hash })).join()).toMatch(
      /chat\/tokenizer\.json: not/,
    );
  });

  test('reports everything that does not fit at once', async () => {
    await makeRun('interrupted');
    writeFileSync(path('run', 'checkpoint', 'best', 'model.safetensors'), 'weighty');
    const expectations = {
      role: 'reward model',
      takes: 'reward model' as const,
      tokenizer: 'sha256:ffff',
      inputs: { templates: 'sha256:eeee', lexicon: 'sha256:dddd' },
    };
    expect(await problems(path('run'), expectations)).toEqual([
      'reward model run: its run did not finish (interrupted). Continue it with --resume, or name another.',
      'reward model run: is a tuned model; expected a reward model. Name another checkpoint.',
      'reward model run: was made with other templates; expected sha256:eeee, received sha256:ca978112ca1b…. Make it again.',
      'reward model run: was made with other lexicon; expected sha256:dddd, received none. Make it again.',
      'reward model run: checkpoint/best is damaged or was changed after its run. Make the run again, or name run/checkpoint/best itself.',
      `reward model run: was made with another tokenizer; expected sha256:ffff, received ${TOKENS.slice(0, 19)}…. Use checkpoints of one chain.`,
    ]);
  });

  test('names a folder that is not there, has no model, or lacks files', async () => {
    expect(await problems(path('none'), { role: 'policy' })).toEqual([
      'policy none: there is no such folder. Run the stage that makes it, or correct the path.',
    ]);
    mkdirSync(path('other'));
    writeFileSync(path('other', 'config.json'), '{}');
    expect(await problems(path('other'), { role: 'policy' })).toEqual([
      'policy other: model.safetensors, tokenizer.json missing in other; expected a run folder or a Hugging Face model folder.',
    ]);
    await makeRun('finished', false);
    expect(await problems(path('run'), { role: 'policy' })).toEqual(['policy run: its run has made no model.']);
  });
});
