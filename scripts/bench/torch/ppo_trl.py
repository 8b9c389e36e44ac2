"""The PPO iteration of TRL's own trainer, as it is, on the models and settings of the case.

TRL 1.12.0 is the last release with a PPOTrainer. What it does differently from the loop in ppo.py: log-probabilities of
the rollout come from the logits that `generate` keeps, logits of prompts are computed too, policy and critic are updated
as one model by one optimizer, and gradients are not clipped.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
import trl
from datasets import Dataset

try:
    from trl.experimental.ppo import PPOConfig, PPOTrainer
except ImportError:  # Releases before 0.26 have it at the top.
    from trl import PPOConfig, PPOTrainer

if TYPE_CHECKING:
    from ppo import Loop


def trl_version() -> str:
    return trl.__version__


def trl_iteration(loop: Loop, case: dict) -> Callable[[], float]:
    batch = len(case["prompts"])
    settings = PPOConfig(
        output_dir=tempfile.mkdtemp(prefix="bench-trl-"),
        total_episodes=batch,
        per_device_train_batch_size=batch,
        num_mini_batches=1,
        local_rollout_forward_batch_size=batch,
        num_ppo_epochs=case["epochs"],
        response_length=case["newTokens"],
        temperature=1.0,
        kl_coef=case["klWeight"],
        gamma=case["gamma"],
        lam=case["lambda"],
        cliprange=case["clipRange"],
        cliprange_value=case["valueClipRange"],
        learning_rate=case["optimizer"]["learningRate"],
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        # Its defaults, bfloat16 and recomputed activations, are for other machines.
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=case["device"] == "cpu",
        num_sample_generations=0,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    vocabulary = loop.policy.config.vocab_size
    # No token is padding or an end, so that every response has its full length, as on the other side.
    tokenizer = SimpleNamespace(pad_token_id=vocabulary, eos_token_id=vocabulary)
    rows = Dataset.from_dict({"input_ids": case["prompts"]})
    trainer = PPOTrainer(
        args=settings,
        processing_class=tokenizer,
        model=copy.deepcopy(loop.policy),
        ref_model=copy.deepcopy(loop.policy),
        reward_model=copy.deepcopy(loop.critic),
        value_model=copy.deepcopy(loop.critic),
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=lambda some: {"input_ids": torch.tensor([row["input_ids"] for row in some])},
    )

    def run() -> float:
        # total_episodes is one batch: one call is one iteration, with weights and moments of the last.
        trainer.train()
        return batch * case["newTokens"]

    return run
