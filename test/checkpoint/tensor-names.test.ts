/** Files whose tensors are called otherwise than config.json implies, or hold more of them. */
import { describe, expect, it } from 'vitest';
import { matchTensors } from '../../src/checkpoint/tensor-match.ts';
import { parameterReader } from '../../src/checkpoint/weight-names.ts';
import type { HeadKind, ModelDimensions } from '../../src/model/dimensions.ts';
import { parameterSpecs } from '../../src/model/parameter-table.ts';
import { problemsOf } from '../helpers/temporary-folder.ts';
import type { HostTensor } from '../helpers/tensors.ts';
import { toHuggingFace } from '../helpers/tensors.ts';
import { tinyDimensions, tinyValues } from '../model/tiny-model.ts';

type Tensors = Map<string, HostTensor>;

const llama = tinyDimensions['llama-untied'];
const tied = tinyDimensions.llama;
const { gpt2 } = tinyDimensions;
const opt: ModelDimensions = { ...gpt2, family: 'opt', activation: 'relu' };

const tensorsOf = (dimensions: ModelDimensions, head: HeadKind = 'tokens'): Tensors =>
  toHuggingFace(dimensions, head, tinyValues(dimensions, head));
const renamed = (tensors: Tensors, rename: (name: string) => string): Tensors =>
  new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));
const zeros = (...shape: number[]): HostTensor => ({
  shape,
  values: new Float32Array(shape.reduce((product, size) => product * size, 1)),
});
const filesOf = (tensors: Tensors, types: Readonly<Record<string, string>> = {}) => ({
  entries: new Map(
    [...tensors].map(([name, { shape }]) => [name, { dtype: types[name] ?? 'F32', shape, from: 0, to: 0 }] as const),
  ),
  read: (name: string) => tensors.get(name)!.values,
  close: () => {},
});
const problems = (dimensions: ModelDimensions, tensors: Tensors, head: HeadKind = 'tokens'): Promise<string[]> =>
  problemsOf(() => matchTensors(dimensions, head, filesOf(tensors), 'x'), '');

/** Reads every parameter and compares it with those of the plain file. */
function expectSame(dimensions: ModelDimensions, tensors: Tensors, head: HeadKind = 'tokens'): readonly string[] {
  const [plain, other] = [tensorsOf(dimensions, head), tensors].map((one) =>
    parameterReader(dimensions, head, filesOf(one), 'x'),
  );
  for (const spec of parameterSpecs(dimensions, head)) {
    expect(other!.read(spec), spec.name).toEqual(plain!.read(spec));
  }
  return other!.notes;
}

describe('names that begin otherwise', () => {
  const wrapped = (prefix: string) => (name: string) => prefix + name;
  const trunk = (from: string, to: string) => (name: string) => name.replace(new RegExp(`^${from}`), to);
  const note = (instead: string, family = 'llama'): string[] => [
    `x: the names of its tensors are those of a ${family} model ${instead}; they are read as such.`,
  ];
  const within = (prefix: string, own = 'model.'): string => `with "${prefix}" in place of "${own}"`;

  it.each([
    ['_orig_mod.', within('_orig_mod.model.'), wrapped('_orig_mod.')],
    ['module.', within('module.model.'), wrapped('module.')],
    ['module._orig_mod.', within('module._orig_mod.model.'), wrapped('module._orig_mod.')],
    ['base_model.model.', within('base_model.model.model.'), wrapped('base_model.model.')],
    ['policy.', within('policy.model.'), wrapped('policy.')],
    ['pretrained_model.', within('pretrained_model.model.'), wrapped('pretrained_model.')],
    ['model. twice', within('model.model.'), wrapped('model.')],
    ['language_model. around all', within('language_model.model.'), wrapped('language_model.')],
    ['language_model. within the trunk', within('model.language_model.'), trunk('model\\.', 'model.language_model.')],
    ['no model.', 'without "model." in front', trunk('model\\.', '')],
    ['a wrapper and no model.', within('module.'), (name: string) => `module.${name.replace(/^model\./, '')}`],
  ])('are read with one line: %s', (_, line, rename) => {
    expect(expectSame(llama, renamed(tensorsOf(llama), rename))).toEqual(note(line));
    expect(expectSame(llama, renamed(tensorsOf(llama, 'score'), rename), 'score')).toEqual(note(line));
  });

  it.each([
    ['a GPT-2 without "transformer."', gpt2, /^transformer\./],
    ['an OPT without "model."', opt, /^model\./],
  ] as const)('are no news where published files have them: %s', (_, dimensions, prefix) => {
    expect(
      expectSame(
        dimensions,
        renamed(tensorsOf(dimensions), (name) => name.replace(prefix, '')),
      ),
    ).toEqual([]);
  });

  it.each([
    ['every layer compiled', (name: string) => name.replace(/(layers\.\d+)/, '$1._orig_mod'), '"_orig_mod."', ''],
    [
      'some layers wrapped, in a wrapped model',
      (name: string) => `module.${name.replace(/(layers\.0)/, '$1._fsdp_wrapped_module._checkpoint_wrapped_module')}`,
      '"_fsdp_wrapped_module._checkpoint_wrapped_module."',
      ` ${note(within('module.model.'))[0]}`,
    ],
  ])('are read where single layers are wrapped: %s', (_, rename, wrappers, more) => {
    const said = `x: layers are wrapped in ${wrappers}; their names are read without.${more}`;
    expect(expectSame(llama, renamed(tensorsOf(llama), rename))).toEqual([said]);
  });

  it('are refused in one line where they are mixed, where two models are there, and where none is', async () => {
    const tensors = tensorsOf(llama);
    const mixed = renamed(tensors, (name) => (name.includes('mlp') ? `module.${name}` : name));
    expect(await problems(llama, mixed)).toEqual([
      'x: 14 tensors begin with "model." and others do not (2 × "module.model.layers.N.mlp.gate_proj.weight", ' +
        '2 × "module.model.layers.N.mlp.up_proj.weight", 2 × "module.model.layers.N.mlp.down_proj.weight"); expected one ' +
        'beginning for all. Save the checkpoint again from the model itself, without what wraps it.',
    ]);
    const two = new Map([...renamed(tensors, wrapped('policy.')), ...renamed(tensors, wrapped('reference.'))]);
    expect(await problems(llama, two)).toEqual([
      'x: holds 2 models, whose names begin with "policy.model." and "reference.model."; expected one. Save the one that is wanted by itself.',
    ]);
    expect(await problems(llama, tensorsOf(gpt2))).toEqual([
      expect.stringMatching(
        /^x: holds no llama model, .* expected "model\.embed_tokens\.weight" and so on, received .*Put/,
      ),
    ]);
    // As Meta's and Mistral's own files call them: the last norm happens to have the same name.
    const original = renamed(tensors, (name) => `layers.0.${name}`).set('norm.weight', zeros(16));
    expect(await problems(llama, new Map([...original].filter(([name]) => /norm/.test(name))))).toHaveLength(1);
    expect(await problems(llama, new Map())).toHaveLength(1);
  });
});

describe('tensors that nothing reads', () => {
  const [layer, attention] = ['model.layers.0', 'model.layers.0.self_attn'];
  const everyLayer = (name: string, ...shape: number[]): [string, HostTensor][] =>
    [0, 1].map((i) => [`model.layers.${i}.${name}`, zeros(...shape)]);
  const withMore = (dimensions: ModelDimensions, more: Iterable<[string, HostTensor]>, head: HeadKind = 'tokens') =>
    new Map([...tensorsOf(dimensions, head), ...more]);

  it.each<[string, ModelDimensions, [string, HostTensor][]]>([
    ['rotary frequencies', llama, everyLayer('self_attn.rotary_emb.inv_freq', 2)],
    ['rotary frequencies of the model', llama, [['model.rotary_emb.inv_freq', zeros(2)]]],
    [
      'masks of GPT-2',
      gpt2,
      [
        ['transformer.h.0.attn.bias', zeros(1, 1, 4, 4)],
        ['transformer.h.1.attn.masked_bias', zeros()],
      ],
    ],
    ['the version of an OPT', opt, [['model.decoder.version', zeros(1)]]],
  ])('are harmless: %s', (_, dimensions, more) => {
    expect(expectSame(dimensions, withMore(dimensions, more))).toEqual([]);
  });

  it.each([tied, gpt2])('are the embedding where the head that is tied is all that was kept: $family', (dimensions) => {
    const isEmbedding = (name: string): boolean => /embed_tokens|wte/.test(name);
    const kept = renamed(tensorsOf(dimensions), (name) => (isEmbedding(name) ? 'lm_head.weight' : name));
    expect(expectSame(dimensions, kept)).toEqual([]);
    expect(
      expectSame(
        dimensions,
        renamed(kept, (name) => `_orig_mod.${name}`),
      ),
    ).toHaveLength(1);
  });

  it.each([
    'language_model.model.',
    'model.language_model.',
  ])('are told of where they read images, which a Gemma 3 does without: %s', async (prefix) => {
    const { gemma2, gemma3 } = tinyDimensions;
    const images: [string, HostTensor][] = [
      // Named like a text layer's up to where the model begins.
      ['vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight', zeros(8, 8)],
      ['multi_modal_projector.mm_input_projection_weight', zeros(8, 16)],
    ];
    const both = (dimensions: ModelDimensions): Tensors =>
      new Map([...renamed(tensorsOf(dimensions), (name) => name.replace(/^model\./, prefix)), ...images]);
    expect(expectSame(gemma3, both(gemma3))).toEqual([
      'x: is a model of images, too; its language model is read, and these are not: ' +
        `${images.map(([name]) => `"${name}"`).join(', ')}.`,
    ]);
    expect((await problems(gemma2, both(gemma2)))[0]).toMatch(/A model of images or sound is not supported/);
  });

  it('are harmless where they are the head that is tied, and refused where it differs', async () => {
    const embedding = tensorsOf(tied).get('model.embed_tokens.weight')!;
    expect(expectSame(tied, withMore(tied, [['lm_head.weight', embedding]]))).toEqual([]);
    const wrappedUp = renamed(withMore(tied, [['lm_head.weight', embedding]]), (name) => `_orig_mod.${name}`);
    expect(await problems(tied, wrappedUp)).toEqual([]);
    const other = { ...embedding, values: embedding.values.map((value) => value + 1) };
    expect(() => expectSame(tied, withMore(tied, [['lm_head.weight', other]]))).toThrow(
      /"lm_head.weight" differs from the embedding .*Set tie_word_embeddings to false/,
    );
  });

  it.each<[string, ModelDimensions, [string, HostTensor][], RegExp]>([
    [
      'biases that config.json does not tell of',
      llama,
      [...everyLayer('self_attn.q_proj.bias', 16), ...everyLayer('self_attn.v_proj.bias', 4)],
      /2 × "model\.layers\.N\.self_attn\.q_proj\.bias", 2 × "model\.layers\.N\.self_attn\.v_proj\.bias"\. .*attention_bias: true/,
    ],
    ['biases of the feed-forward layers', llama, everyLayer('mlp.up_proj.bias', 40), /mlp_bias: true/],
    ['norms of Qwen3', llama, everyLayer('self_attn.q_norm.weight', 4), /qwen3/],
    [
      'a layer more',
      llama,
      [[`model.layers.2.input_layernorm.weight`, zeros(16)]],
      /2 layers and the file has 3\. Set the number to 3/,
    ],
    ['an adapter', llama, [[`${attention}.q_proj.lora_A.weight`, zeros(4, 16)]], /merge_and_unload.*npm run merge/],
    ['a base that was wrapped', llama, [[`${attention}.q_proj.base_layer.weight`, zeros(16, 16)]], /merge_and_unload/],
    [
      '4 bits of bitsandbytes',
      llama,
      [[`${layer}.mlp.up_proj.weight.absmax`, zeros(8)]],
      /quantized; expected .*dequantize/,
    ],
    [
      '4 bits of bitsandbytes, their state',
      llama,
      [[`${layer}.mlp.up_proj.weight.quant_state.bitsandbytes__nf4`, zeros(8)]],
      /quantized/,
    ],
    ['8 bits', llama, everyLayer('mlp.up_proj.weight_scale', 1), /quantized/],
    ['GPTQ', llama, everyLayer('mlp.up_proj.qweight', 2, 2), /quantized/],
    [
      'a value head of TRL',
      llama,
      [
        ['v_head.summary.weight', zeros(1, 16)],
        ['v_head.summary.bias', zeros(1)],
      ],
      /value head of TRL/,
    ],
    ['multi-token prediction', llama, [['mtp.layers.0.input_layernorm.weight', zeros(16)]], /several tokens at once/],
    ['experts', llama, everyLayer('mlp.experts.0.up_proj.weight', 4, 4), /mixture of experts/],
    ['images', llama, [['vision_tower.patch.weight', zeros(4, 4)]], /images/],
    ['a score head', llama, [['score.weight', zeros(1, 16)]], /language model, which has no score head/],
    [
      'a real bias where GPT-2 has a mask',
      gpt2,
      [['transformer.h.0.attn.bias', zeros(16)]],
      /"transformer\.h\.0\.attn\.bias"\. No part of a gpt2 model/,
    ],
    ['an unknown one', llama, [['ema.decay', zeros(1)]], /"ema\.decay"\. No part of a llama model/],
  ])('are named with the likely cause: %s', async (_, dimensions, more, said) => {
    const found = await problems(dimensions, withMore(dimensions, more));
    expect(found).toEqual([expect.stringMatching(/^x: nothing reads /)]);
    expect(found[0]).toMatch(said);
  });

  it('are named where the model is a reward model and the file has a token head', async () => {
    expect(await problems(llama, withMore(llama, [['lm_head.weight', zeros(32, 16)]], 'score'), 'score')).toEqual([
      expect.stringMatching(/nothing reads "lm_head.weight"\. config.json says ForSequenceClassification/),
    ]);
  });

  it('are told apart by cause, all at once, beside what is missing', async () => {
    const tensors = withMore(llama, [...everyLayer('self_attn.k_norm.weight', 4), ['v_head.summary.weight', zeros(1)]]);
    for (const i of [0, 1]) tensors.delete(`model.layers.${i}.mlp.up_proj.weight`);
    tensors.delete('lm_head.weight');
    expect(await problems(llama, tensors)).toEqual([
      'x: 3 tensors are missing: 2 × "model.layers.N.mlp.up_proj.weight", "lm_head.weight". Where the head is the embedding, set tie_word_embeddings to true in config.json.',
      expect.stringMatching(/nothing reads 2 × "model\.layers\.N\.self_attn\.k_norm\.weight"/),
      expect.stringMatching(/nothing reads "v_head\.summary\.weight"/),
    ]);
  });

  it('do not hide that many kinds are left over', async () => {
    const many = Array.from({ length: 20 }, (_, i): [string, HostTensor] => [`extra_${i}`, zeros(1)]);
    expect((await problems(llama, withMore(llama, many)))[0]).toMatch(/"extra_11", and 8 more kinds\./);
  });

  it('of a type that cannot be read are refused by the headers, in one line for all layers', async () => {
    const types = Object.fromEntries([0, 1].map((i) => [`model.layers.${i}.mlp.up_proj.weight`, 'F8_E4M3']));
    expect(await problemsOf(() => matchTensors(llama, 'tokens', filesOf(tensorsOf(llama), types), 'x'), '')).toEqual([
      'x: 2 tensors "model.layers.N.mlp.up_proj.weight": expected type F32, BF16, F16, F64, received F8_E4M3.',
    ]);
  });

  it('are nothing to models that have the biases', async () => {
    const biased = { ...llama, biases: { qkv: true, attentionOutput: true, mlp: false } };
    expect(expectSame(biased, tensorsOf(biased))).toEqual([]);
  });
});
