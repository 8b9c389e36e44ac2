"""What the twins share: models as a user of transformers loads them, AdamW, one update, and PyTorch's variants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification


@dataclass
class Task:
    """One case. A variant is run once for each repetition; it returns a number that both sides can compare."""

    parameters: int
    variants: dict[str, Callable[[], float]]
    # Variants that do not work here, and why.
    skipped: dict[str, str] = field(default_factory=dict)
    # Versions of further libraries.
    versions: dict[str, str] = field(default_factory=dict)


def language_model(case: dict) -> torch.nn.Module:
    return load(AutoModelForCausalLM, case, "tokens")


def score_model(case: dict) -> torch.nn.Module:
    return load(AutoModelForSequenceClassification, case, "score")


def load(kind: type, case: dict, head: str) -> torch.nn.Module:
    model = kind.from_pretrained(case["folders"][head], dtype=torch.float32, attn_implementation="sdpa")
    return model.to(case["device"])


def parameter_count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def trained(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def adamw(model: torch.nn.Module, options: dict) -> torch.optim.AdamW:
    """Fused, which was the fastest of PyTorch's three on CPUs or as fast; decays matrices only, as the other side does."""
    parameters = trained(model)
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": options["weightDecay"]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    betas = (options["beta1"], options["beta2"])
    return torch.optim.AdamW(groups, lr=options["learningRate"], betas=betas, eps=options["epsilon"], fused=True)


def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor, clip_norm: float) -> float:
    """Backward, clipping by global norm, AdamW; the loss is read back, as a training loop logs it."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained(model), clip_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item()


def autocast(function: Callable, device: str) -> Callable:
    def run(*arguments):
        with torch.autocast(device, dtype=torch.bfloat16):
            return function(*arguments)

    return run


def compiled(function: Callable, _device: str) -> Callable:
    return torch.compile(function)


def compiled_max(function: Callable, device: str) -> Callable:
    """Also tries inductor's own matrix products, and on a GPU CUDA graphs."""
    return torch.compile(function, mode="max-autotune" if device == "cuda" else "max-autotune-no-cudagraphs")


# How each variant turns the plain function into its own, on a device.
VARIANTS: dict[str, Callable[[Callable, str], Callable]] = {
    "eager": lambda function, _device: function,
    "compile": compiled,
    "compile-max": compiled_max,
    "bf16": autocast,
    "bf16-compile": lambda function, device: autocast(compiled(function, device), device),
    "bf16-compile-max": lambda function, device: autocast(compiled_max(function, device), device),
}


def training_task(case: dict, model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Task:
    """Variants of a training step on one batch. They share weights and moments, so that one case fits in memory."""
    options = case["optimizer"]
    optimizer = adamw(model, options)

    def repetition(loss_of: Callable[[], torch.Tensor]) -> Callable[[], float]:
        return lambda: [update(model, optimizer, loss_of(), options["clipNorm"]) for _ in range(case["steps"])][0]

    variants = {name: repetition(VARIANTS[name](loss, case["device"])) for name in case["variants"]}
    return Task(parameter_count(model), variants)
