"""Training of PEFT's low-rank adapters on a frozen model: the same step as train_step.py."""

from __future__ import annotations

import peft

from common import Task, language_model
from train_step import next_token_task


def build(case: dict) -> Task:
    model = peft.PeftModel.from_pretrained(language_model(case), case["folders"]["adapter"], is_trainable=True)
    task = next_token_task(case, model.train())
    task.versions["peft"] = peft.__version__
    return task
