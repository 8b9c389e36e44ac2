"""Sampling with transformers' `generate`: key/value cache, temperature 1, and no token that ends a response."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from common import Task, language_model, parameter_count


def sampler(model: torch.nn.Module, new_tokens: int, *, static: bool = False) -> Callable[[torch.Tensor], torch.Tensor]:
    """Prompts [batch, prompt] → sequences [batch, prompt + new_tokens]."""
    # top_k 0 and top_p 1 switch filters off, which transformers applies unless told otherwise.
    options = {"max_new_tokens": new_tokens, "do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
    options |= {"eos_token_id": None, "pad_token_id": None}
    if static:
        # A cache of fixed size has fixed shapes, so that the compiled forward pass is made twice only: prompt and step.
        options["cache_implementation"] = "static"

    def sample(prompts: torch.Tensor) -> torch.Tensor:
        model.generation_config.eos_token_id = None
        return model.generate(prompts, attention_mask=torch.ones_like(prompts), **options)

    return sample


def with_compiled_forward(model: torch.nn.Module) -> torch.nn.Module:
    """The same weights under a forward pass of their own that is compiled."""
    twin = copy.copy(model)
    twin.forward = torch.compile(model.forward)
    return twin


def build(case: dict) -> Task:
    model = language_model(case).eval()
    prompts = torch.tensor(case["prompts"], device=case["device"])
    new_tokens = case["newTokens"]
    half = copy.deepcopy(model).to(torch.bfloat16) if any(name.startswith("bf16") for name in case["variants"]) else model
    samplers = {
        "eager": lambda: sampler(model, new_tokens),
        "compile": lambda: sampler(with_compiled_forward(model), new_tokens, static=True),
        # Weights in bfloat16: for inference autocast would cast all of them again for every token.
        "bf16": lambda: sampler(half, new_tokens),
        "bf16-compile": lambda: sampler(with_compiled_forward(half), new_tokens, static=True),
    }

    def repetition(sample: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], float]:
        def run() -> float:
            for _ in range(case["steps"]):
                drawn = sample(prompts)
            return drawn.numel() - prompts.numel()

        return run

    variants = {name: repetition(samplers[name]()) for name in case["variants"]}
    return Task(parameter_count(model), variants)
