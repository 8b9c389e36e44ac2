/** What is read from config.json: the same as transformers reads, whatever the age of the file, or a refusal by name. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { huggingFaceConfig, NO_NORMALISATION, readModelConfig } from '../../src/checkpoint/model-config.ts';
import { loadModelFolder } from '../../src/checkpoint/model-folder.ts';
import { disposeInputs } from '../../src/model/inputs.ts';
import { disposeModel, modelWeights, trainNothing } from '../../src/model/model.ts';
import { parameterCount } from '../../src/model/parameter-table.ts';
import { tf } from '../../src/tensor/tf.ts';
import { fixture, fixturePath, take } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { useLane } from '../helpers/use-lane.ts';
import { everyLogit, paddedInputs } from './batches.ts';

type Changes = Readonly<Record<string, unknown>>;
type Case = { family: string; changes: Changes; inputIds: number[]; logits: number[] };

const inFolder = useTemporaryFolder();

/** The family's folder with fields of config.json changed, or taken out where "absent". */
function changedFolder(family: string, changes: Changes): string {
  const from = fixturePath(`families/${family}`);
  for (const name of readdirSync(from)) if (name !== 'config.json') copyFileSync(join(from, name), inFolder(name));
  const original = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8')) as Changes;
  const config = Object.entries({ ...original, ...changes }).filter(([, value]) => value !== 'absent');
  writeFileSync(inFolder('config.json'), JSON.stringify(Object.fromEntries(config)));
  return inFolder();
}

/** Logits of the last token of a row. */
function lastLogits(folder: string, ids: readonly number[]): Float32Array {
  const { model } = loadModelFolder(folder, { plan: trainNothing(), tokenizer: null });
  const row = { shape: [1, ids.length], data: ids };
  const inputs = paddedInputs(model.dimensions, row, { shape: row.shape, data: ids.map(() => 1) });
  const found = take(tf.tidy(() => everyLogit(model.dimensions, modelWeights(model), inputs)));
  disposeInputs(inputs);
  disposeModel(model);
  return found.slice(-model.dimensions.vocab);
}

describe('a configuration that transformers reads', () => {
  beforeAll(async () => {
    await useLane();
  });

  const { cases } = fixture<{ cases: Case[] }>('families/configs.json');
  it.each(cases.map((one) => [`${one.family} ${JSON.stringify(one.changes)}`, one] as const))('%s', (_, one) => {
    const found = lastLogits(changedFolder(one.family, one.changes), one.inputIds);
    const largest = Math.max(...one.logits.map(Math.abs));
    expect(Math.max(...one.logits.map((value, i) => Math.abs(value - (found[i] as number)))) / largest).toBeLessThan(
      1e-4,
    );
  });

  // What is written has every default spelt out, so it need not be the same words.
  it.each(
    cases.map((one) => [`${one.family} ${JSON.stringify(one.changes)}`, one] as const),
  )('comes back from the config.json we write: %s', (_, one) => {
    const read = (): ReturnType<typeof readModelConfig> => readModelConfig(inFolder('config.json'));
    changedFolder(one.family, one.changes);
    const { dimensions, head } = read();
    const options = { dtype: 'float32', normalisation: NO_NORMALISATION } as const;
    const written = huggingFaceConfig(dimensions, head, { padId: 0, bosId: 1, eosId: 2 }, options);
    writeFileSync(inFolder('config.json'), JSON.stringify(written));
    expect(read().dimensions).toEqual(dimensions);
  });
});

describe('the config.json of a published model', () => {
  type Published = { name: string; parameters: number; config: Changes };
  const { models } = fixture<{ models: Published[] }>('families/published.json');
  const SLIDES = /Mistral-7B-v0.1|TinyStories|gemma|Phi/;

  it.each(models)('is read, and gives the parameters transformers counts: $name', ({ name, parameters, config }) => {
    writeFileSync(inFolder('config.json'), JSON.stringify(config));
    const { dimensions, head } = readModelConfig(inFolder('config.json'));
    // OPT's table has two rows of positions that nothing reads.
    const unread = dimensions.family === 'opt' ? 2 * dimensions.dModel : 0;
    expect(parameterCount(dimensions, head)).toBe(parameters - unread);
    expect(dimensions.windows.length).toBe(SLIDES.test(name) ? dimensions.layers : 0);
  });
});

/** A family, what its config.json is made to say, and the field that has to be named. */
const REFUSED: readonly (readonly [family: string, changes: Changes, named: string])[] = [
  ['gpt2', { scale_attn_weights: false }, 'scale_attn_weights'],
  ['gpt2', { scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
  ['gpt2', { add_cross_attention: true }, 'add_cross_attention'],
  ['gpt2', { activation_function: 'silu' }, 'activation_function'],
  ['gpt2', { activation_function: 'quick_gelu' }, 'activation_function'],
  ['gpt2', { n_head: 5 }, 'model.headDim'],
  ['llama2', { hidden_act: 'gelu' }, 'hidden_act'],
  ['llama2', { rope_scaling: { rope_type: 'su', factor: 4 } }, 'rope_scaling.rope_type'],
  ['llama2', { rope_scaling: { type: 'mrope', mrope_section: [1, 1, 1] } }, 'rope_scaling.rope_type'],
  ['llama2', { rope_scaling: { rope_type: 'yarn' } }, 'rope_scaling.factor'],
  ['llama2', { rope_scaling: { rope_type: 'yarn', factor: 4, attention_factor: -1 } }, 'rope_scaling.attention_factor'],
  ['llama2', { rope_scaling: { rope_type: 'yarn', factor: 4, beta_fast: '32' } }, 'rope_scaling.beta_fast'],
  ['llama2', { rope_scaling: { rope_type: 'yarn', factor: 4, attn_factor: 1 } }, 'rope_scaling.attn_factor'],
  ['llama2', { rope_parameters: { rope_type: 'longrope', rope_theta: 1e4 } }, 'rope_parameters.short_factor'],
  [
    'llama2',
    { rope_parameters: { rope_type: 'longrope', short_factor: [1, 1], long_factor: [1, 2, 3] } },
    'model.ropeScaling.shortFactors',
  ],
  ['llama2', { rope_parameters: { rope_type: 'proportional', rope_theta: 1e4 } }, 'rope_parameters.rope_type'],
  ['llama2', { rope_scaling: { type: 'linear' } }, 'rope_scaling.factor'],
  ['llama2', { rope_scaling: { rope_type: 'llama3', factor: 8 } }, 'rope_scaling.low_freq_factor'],
  ['llama2', { rope_scaling: 'linear' }, 'rope_scaling'],
  ['llama2', { rope_parameters: [1] }, 'rope_parameters'],
  [
    'llama2',
    { rope_scaling: { rope_type: 'linear', factor: 2, attention_factor: 3 } },
    'rope_scaling.attention_factor',
  ],
  [
    'llama2',
    { rope_parameters: { full_attention: { rope_type: 'yarn', factor: 4, rope_theta: 1e6 } } },
    'rope_parameters.full_attention',
  ],
  ['llama2', { partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
  [
    'llama2',
    { rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } },
    'rope_parameters.partial_rotary_factor',
  ],
  ['llama2', { rope_interleaved: true }, 'rope_interleaved'],
  ['llama2', { sliding_window: 4 }, 'sliding_window'],
  ['llama2', { layer_types: ['full_attention', 'full_attention'] }, 'layer_types'],
  ['llama2', { quantization_config: { quant_method: 'gptq' } }, 'quantization_config'],
  ['llama2', { num_local_experts: 8 }, 'num_local_experts'],
  ['llama2', { auto_map: { AutoModelForCausalLM: 'modeling.Other' } }, 'auto_map'],
  ['llama2', { logits_scaling: 8 }, 'logits_scaling'],
  ['llama2', { final_logit_softcapping: 30 }, 'final_logit_softcapping'],
  ['mistral', { use_sliding_window: false }, 'use_sliding_window'],
  ['mistral', { max_window_layers: 1 }, 'max_window_layers'],
  ['mistral', { attention_bias: true }, 'attention_bias'],
  ['mistral', { layer_types: ['full_attention'] }, 'layer_types'],
  ['qwen2', { attention_bias: false }, 'attention_bias'],
  ['qwen2', { use_mrope: true }, 'use_mrope'],
  ['qwen2', { layer_types: ['chunked_attention', 'full_attention', 'full_attention'] }, 'layer_types'],
  ['qwen3', { num_experts: 8 }, 'num_experts'],
  ['opt', { do_layer_norm_before: false }, 'do_layer_norm_before'],
  ['opt', { word_embed_proj_dim: 12 }, 'word_embed_proj_dim'],
  ['opt', { _remove_final_layer_norm: true }, '_remove_final_layer_norm'],
  ['opt', { layer_norm_elementwise_affine: false }, 'layer_norm_elementwise_affine'],
  ['gpt-neox', { hidden_act: 'tanh' }, 'hidden_act'],
  ['gpt-neox', { partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
  ['gpt-neo', { attention_types: [[['local', 'global'], 1]] }, 'attention_layers'],
  ['gpt-neo', { attention_types: [[['global', 'local'], 2]] }, 'attention_types'],
  ['gpt-neo', { activation_function: 'tanh' }, 'activation_function'],
  ['gemma2', { use_bidirectional_attention: true }, 'use_bidirectional_attention'],
  ['gemma2', { attn_logit_softcapping: -1 }, 'attn_logit_softcapping'],
  ['gemma2', { final_logit_softcapping: '30' }, 'final_logit_softcapping'],
  ['gemma2', { hidden_activation: 'gelu' }, 'hidden_activation'],
  ['gemma2', { sliding_window: null }, 'sliding_window'],
  ['gemma2', { sliding_window_pattern: 3 }, 'sliding_window_pattern'],
  ['gemma2', { layer_types: ['chunked_attention', 'full_attention'] }, 'layer_types'],
  ['gemma3', { sliding_window_pattern: 0 }, 'sliding_window_pattern'],
  ['gemma3', { rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }, 'rope_parameters.rope_type'],
  [
    'gemma3',
    { rope_parameters: { full_attention: { rope_type: 'mrope' } } },
    'rope_parameters.full_attention.rope_type',
  ],
  [
    'gemma3',
    { rope_parameters: { sliding_attention: { rope_type: 'linear', factor: 2, other: 1 } } },
    'rope_parameters.sliding_attention.other',
  ],
  [
    'gemma3',
    { rope_parameters: { sliding_attention: { rope_type: 'longrope', short_factor: [1], long_factor: [1] } } },
    'model.windowRope.scaling.shortFactors',
  ],
  ['phi3', { rope_parameters: { rope_type: 'linear', factor: 2 } }, 'rope_parameters.rope_type'],
  ['gemma3', { model_type: 'gemma3' }, 'text_config'],
  ['phi3', { lm_head_bias: true }, 'lm_head_bias'],
  ['phi3', { full_attn_mod: 2 }, 'full_attn_mod'],
  ['phi3', { layer_types: ['full_attention', 'full_attention'] }, 'layer_types'],
  ['phi3', { auto_map: { AutoModelForCausalLM: 'modeling_other.Phi3ForCausalLM' } }, 'auto_map'],
];

describe('a configuration that asks for something else', () => {
  it.each(REFUSED)('is refused by name: %s %j', async (family, changes, named) => {
    const folder = changedFolder(family, changes);
    const problems = await problemsOf(() => readModelConfig(join(folder, 'config.json')), folder);
    expect(problems[0]).toMatch(
      new RegExp(`^config\\.json:? ${named}: .*(expected|not known|divide|positive integer)`),
    );
  });
});
