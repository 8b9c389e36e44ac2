"""Reward training: Bradley-Terry on pairs, both responses in one batch, scores at the last token."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from common import Task, score_model, training_task


def build(case: dict) -> Task:
    model = score_model(case).train()
    # Chosen first; all of one length, so the last token is in the last column.
    ids = torch.tensor(case["chosen"] + case["rejected"], device=case["device"])

    def loss() -> torch.Tensor:
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        chosen, rejected = model.score(hidden[:, -1]).float().squeeze(-1).chunk(2)
        centring = case["centring"] * (chosen + rejected).square().mean()
        return -F.logsigmoid(chosen - rejected).mean() + centring

    return training_task(case, model, loss)
