"""What transformers writes greedily, for greedy-agreement.ts: a JSON object on standard input, another on standard output.

    in   {"folder": "data/models/x", "prompts": ["..."], "tokens": 64}
    out  {"versions": {...}, "answers": [{"prompt": [ids], "answer": [ids], "gaps": [best logit - second, a token]}]}

Prompts go through the folder's own chat template where it has one. Everything is computed in float32.
"""

from __future__ import annotations

import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    asked = json.load(sys.stdin)
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(2)
    tokenizer = AutoTokenizer.from_pretrained(asked["folder"])
    model = AutoModelForCausalLM.from_pretrained(asked["folder"], dtype=torch.float32).eval()
    answers = []
    for text in asked["prompts"]:
        if tokenizer.chat_template is None:
            ids = tokenizer(text)["input_ids"]
        else:
            message = [{"role": "user", "content": text}]
            ids = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)["input_ids"]
        given = torch.tensor([ids])
        with torch.no_grad():
            out = model.generate(
                input_ids=given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=asked["tokens"],
                return_dict_in_generate=True, output_logits=True,
            )
        tops = [torch.topk(logits[0], 2).values for logits in out.logits]
        answers.append({
            "prompt": ids,
            "answer": out.sequences[0, len(ids):].tolist(),
            "gaps": [float(top[0] - top[1]) for top in tops],
        })
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    json.dump({"versions": versions, "answers": answers}, sys.stdout)


main()
