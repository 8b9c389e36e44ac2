"""Next-token training: forward, cross-entropy over all positions, backward, clipping, AdamW."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from common import Task, language_model, training_task

# PyTorch's word for a target that is not learned.
IGNORED = -100


def build(case: dict) -> Task:
    return next_token_task(case, language_model(case).train())


def next_token_task(case: dict, model: torch.nn.Module) -> Task:
    ids = torch.tensor(case["rows"], device=case["device"])
    # Shifted targets instead of shifted logits: no copy of the largest tensor.
    targets = torch.cat([ids[:, 1:], torch.full((len(ids), 1), IGNORED, device=ids.device)], dim=1).view(-1)

    def loss() -> torch.Tensor:
        logits = model(input_ids=ids, use_cache=False).logits
        # In float32 under autocast too, as the loss of transformers.
        return F.cross_entropy(logits.float().view(len(targets), -1), targets, ignore_index=IGNORED)

    return training_task(case, model, loss)
