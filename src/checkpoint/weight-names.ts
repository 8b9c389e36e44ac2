/** How the decoder's parameters are named and laid out in Hugging Face's GPT-2 and Llama files. */
import { CheckpointError } from '../errors.ts';
import type { HeadKind, ModelDimensions } from '../model/dimensions.ts';
import { parameterSpecs } from '../model/dimensions.ts';
import { layoutOf, parameterValues } from '../tensor/parameters.ts';
import type { HostTensor } from './safetensors.ts';

/** Columns [from, to) of one of our parameters, as one tensor of the file. */
interface Piece {
  readonly parameter: string;
  /** Name in the file. */
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** nn.Linear is [out, in] where ours is [in, out]; GPT-2's Conv1D is [in, out] like ours. */
  readonly transposed: boolean;
}

/** The family of Hugging Face classes that can hold these dimensions. */
export function familyOf(dimensions: ModelDimensions): 'gpt2' | 'llama' {
  const { norm, positions, activation, biases, heads, kvHeads } = dimensions;
  if (norm === 'rms' && positions === 'rotary' && activation === 'swiglu' && !biases) return 'llama';
  const isGpt2 = norm === 'layer' && positions === 'learned' && activation === 'gelu' && biases && heads === kvHeads;
  if (isGpt2) return 'gpt2';
  throw new CheckpointError(
    `model: a decoder with norm ${norm}, positions ${positions}, activation ${activation} and biases ${biases} is neither ` +
      'GPT-2 nor Llama, so it has no Hugging Face format. Use model.style gpt2 or llama.',
  );
}

function pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  return familyOf(dimensions) === 'gpt2' ? gpt2Pieces(dimensions, head) : llamaPieces(dimensions, head);
}

/** transformers modeling_gpt2.py: Conv1D layers, q, k and v side by side, everything under "transformer.". */
function gpt2Pieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const whole = (parameter: string, name: string, transposed = false): Piece => {
    return { parameter, name, from: 0, to: widthOf(dimensions, head, parameter), transposed };
  };
  const list = [
    whole('embedding.tokens', 'transformer.wte.weight'),
    whole('embedding.positions', 'transformer.wpe.weight'),
  ];
  const parts = [
    ['attention.norm', 'ln_1'],
    ['attention.qkv', 'attn.c_attn'],
    ['attention.output', 'attn.c_proj'],
    ['mlp.norm', 'ln_2'],
    ['mlp.input', 'mlp.c_fc'],
    ['mlp.output', 'mlp.c_proj'],
  ] as const;
  for (let layer = 0; layer < dimensions.layers; layer++) {
    for (const [ours, theirs] of parts) {
      const first = ours.endsWith('norm') ? 'gain' : 'weight';
      list.push(whole(`blocks.${layer}.${ours}.${first}`, `transformer.h.${layer}.${theirs}.weight`));
      list.push(whole(`blocks.${layer}.${ours}.bias`, `transformer.h.${layer}.${theirs}.bias`));
    }
  }
  list.push(whole('final_norm.gain', 'transformer.ln_f.weight'), whole('final_norm.bias', 'transformer.ln_f.bias'));
  return [...list, ...headPieces(dimensions, head)];
}

/** transformers modeling_llama.py: nn.Linear layers, separate q, k, v and gate, up projections, under "model.". */
function llamaPieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  const { heads, kvHeads, headDim, dModel, dFf } = dimensions;
  const list: Piece[] = [];
  const vector = (parameter: string, name: string, to = dModel): void => {
    list.push({ parameter, name, from: 0, to, transposed: false });
  };
  vector('embedding.tokens', 'model.embed_tokens.weight');
  for (let layer = 0; layer < dimensions.layers; layer++) {
    const ours = `blocks.${layer}`;
    const theirs = `model.layers.${layer}`;
    const part = (parameter: string, name: string, from: number, to: number): void => {
      list.push({ parameter: `${ours}.${parameter}`, name: `${theirs}.${name}.weight`, from, to, transposed: true });
    };
    const query = heads * headDim;
    const key = kvHeads * headDim;
    vector(`${ours}.attention.norm.gain`, `${theirs}.input_layernorm.weight`);
    part('attention.qkv.weight', 'self_attn.q_proj', 0, query);
    part('attention.qkv.weight', 'self_attn.k_proj', query, query + key);
    part('attention.qkv.weight', 'self_attn.v_proj', query + key, query + 2 * key);
    part('attention.output.weight', 'self_attn.o_proj', 0, dModel);
    vector(`${ours}.mlp.norm.gain`, `${theirs}.post_attention_layernorm.weight`);
    part('mlp.input.weight', 'mlp.gate_proj', 0, dFf);
    part('mlp.input.weight', 'mlp.up_proj', dFf, 2 * dFf);
    part('mlp.output.weight', 'mlp.down_proj', 0, dModel);
  }
  vector('final_norm.gain', 'model.norm.weight');
  return [...list, ...headPieces(dimensions, head)];
}

function headPieces(dimensions: ModelDimensions, head: HeadKind): Piece[] {
  if (head === 'score') return [{ parameter: 'score.weight', name: 'score.weight', from: 0, to: 1, transposed: true }];
  if (dimensions.tiedHead) return [];
  return [{ parameter: 'head.weight', name: 'lm_head.weight', from: 0, to: dimensions.vocab, transposed: true }];
}

/** Size of the last axis of one of our parameters. */
function widthOf(dimensions: ModelDimensions, head: HeadKind, parameter: string): number {
  return (
    parameterSpecs(dimensions, head)
      .find(({ name }) => name === parameter)
      ?.shape.at(-1) ?? 0
  );
}

/** The tensors of a Hugging Face file from our flat values [total]. */
export function toHuggingFace(
  dimensions: ModelDimensions,
  head: HeadKind,
  flat: Float32Array,
): Map<string, HostTensor> {
  const layout = layoutOf(parameterSpecs(dimensions, head));
  const tensors = new Map<string, HostTensor>();
  for (const piece of pieces(dimensions, head)) {
    const shape = layout.specs.find(({ name }) => name === piece.parameter)?.shape ?? [];
    const values = parameterValues(layout, flat, piece.parameter);
    const width = shape.at(-1) as number;
    const rows = values.length / width;
    const columns = piece.to - piece.from;
    const part = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = piece.transposed ? column * rows + row : row * columns + column;
        part[at] = values[row * width + piece.from + column] as number;
      }
    }
    const plain = shape.length === 1 ? [columns] : [rows, columns];
    tensors.set(piece.name, { shape: piece.transposed ? [columns, rows] : plain, values: part });
  }
  return tensors;
}

/**
 * Our flat values [total] from the tensors of a Hugging Face file.
 * @throws CheckpointError listing every tensor that is missing or has another shape than config.json implies
 */
export function fromHuggingFace(
  dimensions: ModelDimensions,
  head: HeadKind,
  tensors: ReadonlyMap<string, HostTensor>,
  where: string,
): Float32Array {
  const layout = layoutOf(parameterSpecs(dimensions, head));
  const flat = new Float32Array(layout.total);
  const problems: string[] = [];
  for (const piece of pieces(dimensions, head)) {
    const shape = layout.specs.find(({ name }) => name === piece.parameter)?.shape ?? [];
    const target = parameterValues(layout, flat, piece.parameter);
    const width = shape.at(-1) as number;
    const rows = target.length / width;
    const columns = piece.to - piece.from;
    // Fine-tuned GPT-2 files carry the prefix, OpenAI's original file does not.
    const source = tensors.get(piece.name) ?? tensors.get(piece.name.replace(/^transformer\./, ''));
    const plain = shape.length === 1 ? [columns] : [rows, columns];
    const expected = piece.transposed ? [columns, rows] : plain;
    if (source === undefined) problems.push(`${where}: tensor "${piece.name}" is missing.`);
    else if (source.shape.join() !== expected.join()) {
      problems.push(
        `${where}: tensor "${piece.name}": expected shape [${expected.join(', ')}] by config.json, received [${source.shape.join(', ')}].`,
      );
    } else {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const at = piece.transposed ? column * rows + row : row * columns + column;
          target[row * width + piece.from + column] = source.values[at] as number;
        }
      }
    }
  }
  if (problems.length > 0) throw new CheckpointError(problems);
  return flat;
}
