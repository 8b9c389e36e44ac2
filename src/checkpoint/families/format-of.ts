/** The format of each family of models. */
import type { ModelFamily } from '../../model/dimensions.ts';
import { gemmaFormat } from './gemma.ts';
import { gptNeo } from './gpt-neo.ts';
import { gptNeox } from './gpt-neox.ts';
import { gpt2 } from './gpt2.ts';
import { llamaFormat } from './llama.ts';
import { opt } from './opt.ts';
import { phi3 } from './phi3.ts';
import type { FamilyFormat } from './pieces.ts';

const FORMATS: Readonly<Record<ModelFamily, FamilyFormat>> = {
  gpt2,
  gpt_neo: gptNeo,
  gpt_neox: gptNeox,
  opt,
  llama: llamaFormat('llama'),
  mistral: llamaFormat('mistral'),
  qwen2: llamaFormat('qwen2'),
  qwen3: llamaFormat('qwen3'),
  phi3,
  gemma2: gemmaFormat('gemma2'),
  gemma3_text: gemmaFormat('gemma3_text'),
};

/** How models of a family are read and written. */
export function formatOf(family: ModelFamily): FamilyFormat {
  return FORMATS[family];
}
