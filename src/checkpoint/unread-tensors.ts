/** Tensors of a file that no part of the model is read from: harmless by family, or refused with the likely cause. */
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { describeNames, groupBy } from './tensor-groups.ts';
import type { TensorEntry } from './weight-files.ts';

/** Names of token heads; one may stand beside the embedding it is tied to. */
export const TOKEN_HEADS = ['lm_head.weight', 'embed_out.weight'];

/** A tensor that is not read. */
export interface UnreadTensor {
  /** As the file has it. */
  readonly name: string;
  /** Without what stands in front of the family's names. */
  readonly core: string;
  readonly entry: TensorEntry;
}

/** What the model is by its config.json. */
export interface UnreadContext {
  readonly dimensions: ModelDimensions;
  readonly head: HeadKind;
}

/** Buffers that older versions of transformers saved: masks of attention, and rotary frequencies, which it makes anew. */
function isBuffer({ core, entry }: UnreadTensor, { family, positions }: ModelDimensions): boolean {
  if (/(^|\.)rotary_emb\.inv_freq$/.test(core)) return positions === 'rotary';
  if (/(^|\.)(attn|attention)\.masked_bias$/.test(core)) return family.startsWith('gpt');
  // A mask has rows and columns; a bias would be a vector.
  if (/(^|\.)(attn|attention)\.bias$/.test(core)) return family.startsWith('gpt') && entry.shape.length > 1;
  return family === 'opt' && /(^|\.)decoder\.version$|^version$/.test(core);
}

/** Whether a tensor is of the part of a Gemma 3 that reads images; texts do without it. */
export function readsImages({ name }: UnreadTensor, { family }: ModelDimensions): boolean {
  return family === 'gemma3_text' && /(^|\.)(vision_tower|multi_modal_projector)\./.test(name);
}

interface Cause {
  readonly matches: (tensor: UnreadTensor, context: UnreadContext) => boolean;
  /** What to do, as a sentence. */
  readonly remedy: (context: UnreadContext, tensors: readonly UnreadTensor[]) => string;
}

const named = (pattern: RegExp) => ({
  matches: ({ name }: UnreadTensor): boolean => pattern.test(name),
});

/** The first that matches is reported. */
const CAUSES: readonly Cause[] = [
  {
    ...named(
      /\.(qweight|qzeros|g_idx|scales|absmax|quant_map|nested_absmax|nested_quant_map|SCB|weight_format|weight_scale|weight_scale_inv|weight_packed|weight_shape|weight_zero_point|input_scale|output_scale|k_scale|v_scale)$|\.quant_state\./,
    ),
    remedy: () =>
      'The weights are quantized; expected float32, bfloat16 or float16. Take the repository of the model itself, or let ' +
      'transformers undo it: from_pretrained, dequantize(), save_pretrained.',
  },
  {
    ...named(
      /\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|base_layer|modules_to_save|original_module)(\.|$)/,
    ),
    remedy: () =>
      'A low-rank adapter was never merged into these weights: merge_and_unload() in PEFT, then save_pretrained; or save the ' +
      'adapter by itself and use npm run merge.',
  },
  {
    ...named(/(^|\.)(v_head|value_head)\./),
    remedy: () =>
      'A value head of TRL, which a language model has not. Save the model without it: model.pretrained_model.save_pretrained.',
  },
  {
    ...named(/(^|\.)(mtp|nextn|eh_proj|enorm|hnorm|shared_head)(\.|$)|(^|\.)mtp_/),
    remedy: () => 'Layers that predict several tokens at once are not supported. Take them out of the file.',
  },
  {
    ...named(/\.(experts|block_sparse_moe|shared_expert|shared_expert_gate)\.|\.mlp\.gate\.weight$/),
    remedy: ({ dimensions }) => `A mixture of experts is another model than ${dimensions.family}; it is not supported.`,
  },
  {
    ...named(
      /(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|mm_projector|image_newline|audio_tower)(\.|$)/,
    ),
    remedy: () => 'A model of images or sound is not supported. Save its language model by itself.',
  },
  {
    matches: ({ core }, { dimensions }) => Number(/^(?:layers|h)\.(\d+)\./.exec(core)?.[1] ?? -1) >= dimensions.layers,
    remedy: ({ dimensions }, tensors) => {
      const last = Math.max(...tensors.map(({ core }) => Number(/^(?:layers|h)\.(\d+)\./.exec(core)?.[1])));
      return `config.json says ${dimensions.layers} layers and the file has ${last + 1}. Set the number to ${last + 1}, or take the others out of the file.`;
    },
  },
  {
    ...named(/\.(q_norm|k_norm)\./),
    remedy: ({ dimensions }) =>
      `Norms of queries and keys are those of Qwen3 and Gemma 3 (model_type qwen3, gemma3_text); config.json says ${dimensions.family}. Use the config.json that belongs to these weights.`,
  },
  {
    ...named(/\.(q|k|v|o)_proj\.bias$/),
    remedy: ({ dimensions: { family } }) =>
      family === 'llama' || family === 'qwen3'
        ? 'config.json does not say attention_bias: true. Set it, or take the biases out of the file.'
        : `A ${family} model has no such biases (of attention, Qwen2 has them on q, k and v, Llama with attention_bias: true). Use the config.json that belongs to these weights.`,
  },
  {
    ...named(/\.(gate|up|down)_proj\.bias$/),
    remedy: ({ dimensions: { family } }) =>
      family === 'llama'
        ? 'config.json does not say mlp_bias: true. Set it, or take the biases out of the file.'
        : `A ${family} model has no such biases (Llama has them with mlp_bias: true). Use the config.json that belongs to these weights.`,
  },
  {
    matches: ({ core, name }, { head }) =>
      head === 'score' && TOKEN_HEADS.some((one) => core === one || name.endsWith(one)),
    remedy: () =>
      'config.json says ForSequenceClassification, which has a score head and no token head. Set architectures to the ' +
      'ForCausalLM class where this is a language model, or take the head out of the file.',
  },
  {
    matches: ({ name }, { head }) => head === 'tokens' && /(^|\.)(score|classifier)\.(weight|bias)$/.test(name),
    remedy: () =>
      'config.json says that this is a language model, which has no score head. Set architectures to the ' +
      'ForSequenceClassification class where it is a reward model, or take the head out of the file.',
  },
];

const UNKNOWN: Cause = {
  matches: () => true,
  remedy: ({ dimensions }) =>
    `No part of a ${dimensions.family} model as config.json describes it is called so, and without them it may compute something else. ` +
    'Use the config.json that belongs to these weights, or take the tensors out of the file.',
};

/** A line for each likely cause: every tensor it explains that is not known to be harmless, and what to do. */
export function unreadProblems(tensors: readonly UnreadTensor[], context: UnreadContext, where: string): string[] {
  const causes = [...CAUSES, UNKNOWN];
  const indexOf = (tensor: UnreadTensor): number => causes.findIndex(({ matches }) => matches(tensor, context));
  const unknown = tensors.filter((tensor) => !isBuffer(tensor, context.dimensions));
  return [...groupBy(unknown, (tensor) => String(indexOf(tensor)))].map(([index, group]) => {
    const { remedy } = causes[Number(index)] as Cause;
    return `${where}: nothing reads ${describeNames(group.map(({ name }) => name))}. ${remedy(context, group)}`;
  });
}
