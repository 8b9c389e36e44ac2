/** config.json: what transformers wrote is read, what we write is read back, and everything wrong is named at once. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { huggingFaceConfig, NO_NORMALISATION, readModelConfig } from '../../src/checkpoint/model-config.ts';
import { CheckpointError } from '../../src/errors.ts';
import { ALL_BIASES, NO_BIASES, PLAIN } from '../../src/model/dimensions.ts';
import { fixturePath } from '../helpers/fixtures.ts';
import { problemsOf, useTemporaryFolder } from '../helpers/temporary-folder.ts';
import { tinyDimensions, tinyStyles } from '../model/tiny-model.ts';

const inFolder = useTemporaryFolder();

function read(content: unknown) {
  const path = inFolder('config.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return readModelConfig(path);
}
const problems = (content: unknown): Promise<string[]> => problemsOf(() => read(content), inFolder());
const transformers = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(fixturePath(`models/${name}/config.json`), 'utf8')) as Record<string, unknown>;

const special = { padId: 0, bosId: 1, eosId: 2 };
const options = { dtype: 'float32', normalisation: { mean: 0.5, deviation: 2 } } as const;

describe('what transformers wrote', () => {
  it('is read: GPT-2', () => {
    const raw = transformers('gpt2');
    expect(read(raw)).toEqual({
      dimensions: {
        ...{ vocab: raw.vocab_size, context: raw.n_positions, layers: raw.n_layer, heads: raw.n_head },
        ...{ kvHeads: raw.n_head, headDim: (raw.n_embd as number) / (raw.n_head as number), dModel: raw.n_embd },
        ...{ dFf: raw.n_inner ?? 4 * (raw.n_embd as number), norm: 'layer', normEpsilon: raw.layer_norm_epsilon },
        ...PLAIN,
        ...{ family: 'gpt2', positions: 'learned', activation: 'gelu', biases: ALL_BIASES, tiedHead: true },
      },
      head: 'tokens',
      isReward: false,
      normalisation: { mean: 0, deviation: 1 },
    });
  });

  it('is read: Llama with rope_theta in rope_parameters, tied or not, and with a score head', () => {
    const raw = transformers('llama-tied');
    const theta = (raw.rope_parameters as { rope_theta: number }).rope_theta;
    expect(read(raw)).toMatchObject({
      dimensions: {
        ...{ vocab: raw.vocab_size, context: raw.max_position_embeddings, layers: raw.num_hidden_layers },
        ...{ heads: raw.num_attention_heads, kvHeads: raw.num_key_value_heads, dModel: raw.hidden_size },
        ...{ dFf: raw.intermediate_size, norm: 'rms', normEpsilon: raw.rms_norm_eps, positions: 'rotary' },
        ...{ ropeTheta: theta, activation: 'swiglu', biases: NO_BIASES, tiedHead: true },
      },
      head: 'tokens',
    });
    expect(read(transformers('llama-untied')).dimensions.tiedHead).toBe(false);
    expect(read(transformers('llama-scores')).head).toBe('score');
  });

  it('may leave out what has a default in transformers', () => {
    const gpt2 = { model_type: 'gpt2', vocab_size: 9, n_positions: 8, n_embd: 8, n_layer: 1, n_head: 2 };
    expect(read({ ...gpt2, n_inner: null }).dimensions).toMatchObject({ dFf: 32, normEpsilon: 1e-5, tiedHead: true });
    const llama = {
      ...{ model_type: 'llama', vocab_size: 9, max_position_embeddings: 8, num_hidden_layers: 1 },
      ...{ hidden_size: 8, num_attention_heads: 2, intermediate_size: 24 },
    };
    expect(read(llama).dimensions).toMatchObject({
      ...{ kvHeads: 2, headDim: 4, normEpsilon: 1e-6, ropeTheta: 10_000, tiedHead: false },
    });
    expect(read({ ...llama, rope_theta: 5e5 }).dimensions.ropeTheta).toBe(5e5);
    const version5 = { ...llama, rope_parameters: { rope_type: 'default', rope_theta: 7e4 } };
    expect(read(version5).dimensions.ropeTheta).toBe(7e4);
  });
});

describe('a field that is missing, or null', () => {
  const sizes = {
    ...{ hidden_size: 64, num_attention_heads: 32, num_hidden_layers: 2, intermediate_size: 8 },
    ...{ vocab_size: 9, max_position_embeddings: 8 },
  };
  // MistralConfig.from_dict and so on of transformers 5.23: sliding_window (of the layers that slide), num_key_value_heads.
  it.each([
    ['mistral', {}, [4096, 4096], 8],
    ['mistral', { sliding_window: null }, [], 8],
    ['mistral', { layer_types: ['full_attention', 'sliding_attention'] }, [null, 4096], 8],
    ['qwen2', { use_sliding_window: true, max_window_layers: 1 }, [null, 4096], 32],
    ['qwen2', { use_sliding_window: true, max_window_layers: 1, sliding_window: null }, [], 32],
    ['qwen3', { use_sliding_window: true, max_window_layers: 0, num_key_value_heads: null }, [4096, 4096], 32],
    ['qwen3', {}, [], 32],
    ['llama', {}, [], 32],
  ])('is what transformers makes of it: %s %j', (family, fields, windows, kvHeads) => {
    const { dimensions } = read({ model_type: family, ...sizes, ...fields });
    expect({ windows: dimensions.windows, kvHeads: dimensions.kvHeads }).toEqual({ windows, kvHeads });
  });
});

describe('what we write', () => {
  it.each(tinyStyles)('is read back: %s', (style) => {
    for (const [head, normalisation, isReward] of [
      ['tokens', undefined, false],
      // Scores by likelihood.
      ['tokens', options.normalisation, true],
      ['score', undefined, true],
      ['score', options.normalisation, true],
    ] as const) {
      const written = huggingFaceConfig(tinyDimensions[style], head, special, { ...options, normalisation });
      const found = read(written);
      expect(found).toMatchObject({ head, isReward, normalisation: normalisation ?? NO_NORMALISATION });
      // GPT-2 has no rotary base to write down.
      expect(found.dimensions).toEqual(tinyDimensions[style]);
    }
  });

  it('names the classes of transformers, the special ids, and one label for a score', () => {
    expect(huggingFaceConfig(tinyDimensions.gpt2, 'tokens', special, options)).toMatchObject({
      architectures: ['GPT2LMHeadModel'],
      model_type: 'gpt2',
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 0,
      torch_dtype: 'float32',
    });
    const classes = (style: 'gpt2' | 'llama', head: 'tokens' | 'score') =>
      huggingFaceConfig(tinyDimensions[style], head, special, options).architectures;
    expect([classes('llama', 'tokens'), classes('llama', 'score'), classes('gpt2', 'score')]).toEqual([
      ['LlamaForCausalLM'],
      ['LlamaForSequenceClassification'],
      ['GPT2ForSequenceClassification'],
    ]);
    expect(huggingFaceConfig(tinyDimensions.llama, 'score', special, options)).toMatchObject({ num_labels: 1 });
  });
});

describe('a setting the family has no field for', () => {
  it('is refused when the file would be written', () => {
    const encoder = { ...tinyDimensions.gpt2, attention: 'full', windows: [null, 4] } as const;
    expect(() => huggingFaceConfig(encoder, 'tokens', special, options)).toThrow(
      new CheckpointError([
        'model.attention: a Hugging Face model of family gpt2 cannot have "full". Choose another family or value.',
        'model.windows: a Hugging Face model of family gpt2 cannot have [null,4]. Choose another family or value.',
      ]),
    );
  });
});

describe('what is refused', () => {
  const llama = transformers('llama-tied');

  it('names every missing and unsupported field at once', async () => {
    const { hidden_size: _, vocab_size: __, ...rest } = llama;
    const bad = {
      ...rest,
      vocab_size: '512',
      hidden_act: 'gelu',
      attention_bias: 1,
      rope_parameters: { rope_type: 'ntk' },
      quantization_config: { bits: 4 },
      num_experts: 8,
    };
    const unknown =
      'is not known here, so it might change what the model computes. If it does not, remove it from the file.';
    expect((await problems(bad)).sort()).toEqual([
      'config.json attention_bias: expected true or false, received 1.',
      'config.json hidden_act: "gelu" is not supported; expected "silu" or "swish".',
      'config.json hidden_size: expected a whole number from 1 to 1,000,000,000, received nothing.',
      `config.json num_experts: 8 ${unknown}`,
      expect.stringMatching(
        /^config.json quantization_config: {"bits":4} means that .* quantized; expected .*dequantize/,
      ),
      'config.json rope_parameters.rope_type: "ntk" is not supported; expected one of "default", "linear", "dynamic", "llama3", "yarn", "longrope".',
      'config.json vocab_size: expected a whole number from 1 to 1,000,000,000, received "512".',
    ]);
  });

  it('names what GPT-2 variants ask for and this decoder does not do', async () => {
    const bad = {
      ...transformers('gpt2'),
      ...{ activation_function: 'tanh', scale_attn_weights: false },
      ...{ scale_attn_by_inverse_layer_idx: true, add_cross_attention: true },
    };
    expect(await problems(bad)).toEqual([
      'config.json scale_attn_weights: false is not supported; expected true.',
      'config.json scale_attn_by_inverse_layer_idx: true is not supported; expected false.',
      'config.json add_cross_attention: true is not supported; expected false.',
      'config.json activation_function: "tanh" is not supported; expected "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" or "gelu" or "relu".',
    ]);
  });

  it('names the file when sizes do not fit together', async () => {
    expect(await problems({ ...llama, num_key_value_heads: 3 })).toEqual([
      `config.json: model.kvHeads: 3 does not divide heads ${llama.num_attention_heads}.`,
    ]);
  });

  it('is another architecture', async () => {
    expect(await problems({ model_type: 'mamba' })).toEqual([
      'config.json model_type: "mamba" is not supported; expected gpt2, gpt_neo, gpt_neox, opt, llama, mistral, qwen2, qwen3, phi3, gemma2, gemma3_text, gemma3.',
    ]);
  });

  it.each([
    ['{"model_type":', "Expected property name or '}'|Unexpected end of JSON input"],
    ['null', 'it holds no object'],
  ])('is not JSON, or no object: %s', async (text, why) => {
    const [problem] = await problems(text);
    expect(problem).toMatch(
      new RegExp(`^config.json: cannot be read as JSON \\((${why}).*\\)\\. Copy or make the checkpoint again\\.$`),
    );
    expect(() => read(text)).toThrow(CheckpointError);
  });

  it('is missing', async () => {
    const [problem] = await problemsOf(() => readModelConfig(inFolder('config.json')), inFolder());
    expect(problem).toMatch(/^config\.json: there is no such file; expected the configuration of a model\.$/);
  });
});
