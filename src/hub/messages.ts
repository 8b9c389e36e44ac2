/** What to do where a hub cannot be reached: the files to copy, and what often stands in the way. */

import type { Hub, ModelName } from './source.ts';

/**
 * The files to put into a folder by hand, as lines. The list of the repository could not be had, so they are named for
 * every family of models.
 */
export function byHand({ hub, model, folder }: { hub: Hub; model: ModelName; folder: string }): string[] {
  const { repository, revision } = model;
  const only = '--exclude "*.bin" "*.h5" "*.msgpack" "*.onnx" "*.gguf"';
  return [
    ...proxyHint(process.env),
    'Check the network, or set HF_ENDPOINT to a mirror.',
    `Or, where ${hub.endpoint} can be reached, run`,
    `  hf download ${repository} --revision ${revision} --local-dir ${folder} ${only}`,
    `or take from ${hub.endpoint}/${repository}/tree/${revision} and put into ${folder}`,
    '  config.json',
    '  model.safetensors, or model.safetensors.index.json with every model-*.safetensors that it names',
    '  tokenizer.json (where there is none, as in the first GPT-2 and OPT models: vocab.json and merges.txt)',
    '  and, where they are there: tokenizer_config.json, special_tokens_map.json, generation_config.json, chat_template.jinja',
  ];
}

/** fetch of Node 20 and 22 knows no proxies. */
function proxyHint(environment: NodeJS.ProcessEnv): string[] {
  const proxy = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].find((name) => environment[name]);
  if (proxy === undefined || environment.NODE_USE_ENV_PROXY === '1') return [];
  return [`${proxy} is set, which Node heeds from version 24 on, and there only with NODE_USE_ENV_PROXY=1.`];
}
