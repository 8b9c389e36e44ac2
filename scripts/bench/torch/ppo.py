"""A whole PPO iteration: by TRL's PPOTrainer where it is installed, and by a leaner loop of our own on transformers.

The loop does what TRL does, and no more than has to be done: logits of the response's positions only, no padding masks
(all responses have their full length), two optimizers. Where it is faster than TRL it is PyTorch's best.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F

from common import VARIANTS, Task, adamw, language_model, parameter_count, score_model, update
from generation import sampler, with_compiled_forward


class Loop:
    """Four models and the data of one iteration; variants share weights and moments."""

    def __init__(self, case: dict) -> None:
        self.case = case
        self.prompts = torch.tensor(case["prompts"], device=case["device"])
        self.response = case["newTokens"]
        self.policy = language_model(case).eval()
        self.critic = score_model(case).eval()
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        self.reward = copy.deepcopy(self.critic).requires_grad_(False)
        self.policy_optimizer = adamw(self.policy, case["optimizer"])
        self.critic_optimizer = adamw(self.critic, case["valueOptimizer"])

    def log_probs(self, model: torch.nn.Module, sequences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of the response's tokens, and the logits they come from."""
        output = model(input_ids=sequences, use_cache=False, logits_to_keep=self.response + 1)
        logits = output.logits[:, :-1].float()
        targets = sequences[:, -self.response :]
        nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return -nats.view(targets.shape), logits

    def values(self, sequences: torch.Tensor) -> torch.Tensor:
        hidden = self.critic.base_model(input_ids=sequences, use_cache=False).last_hidden_state
        return self.critic.score(hidden[:, -self.response - 1 : -1]).float().squeeze(-1)

    def read(self, sequences: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the four models say of the responses. Entropy is only logged, as both other programs do."""
        log_probs, logits = self.log_probs(self.policy, sequences)
        entropy = torch.logsumexp(logits, -1) - (F.softmax(logits, -1) * logits).sum(-1)
        reference, _ = self.log_probs(self.reference, sequences)
        hidden = self.reward.base_model(input_ids=sequences, use_cache=False).last_hidden_state
        scores = self.reward.score(hidden[:, -1]).float().squeeze(-1)
        return log_probs, entropy, reference, self.values(sequences), scores

    def targets(self, log_probs, reference, values, scores) -> tuple[torch.Tensor, torch.Tensor]:
        """Whitened advantages and returns. Schulman et al. 2016, arXiv:1506.02438."""
        rewards = -self.case["klWeight"] * (log_probs - reference)
        rewards[:, -1] += scores
        gamma, decay = self.case["gamma"], self.case["lambda"]
        advantages = torch.zeros_like(rewards)
        advantage = following = torch.zeros(len(rewards), device=rewards.device)
        for t in reversed(range(self.response)):
            advantage = rewards[:, t] + gamma * following - values[:, t] + gamma * decay * advantage
            following = values[:, t]
            advantages[:, t] = advantage
        returns = advantages + values
        whitened = (advantages - advantages.mean()) * torch.rsqrt(advantages.var(correction=0) + 1e-8)
        return whitened, returns

    def policy_loss(self, sequences, old, advantages) -> torch.Tensor:
        log_probs, _ = self.log_probs(self.policy, sequences)
        ratio = torch.exp(log_probs - old)
        clip = self.case["clipRange"]
        return torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)).mean()

    def value_loss(self, sequences, old, returns) -> torch.Tensor:
        values = self.values(sequences)
        clip = self.case["valueClipRange"]
        clipped = torch.clamp(values, old - clip, old + clip)
        return 0.5 * torch.max((values - returns).square(), (clipped - returns).square()).mean()

    def iteration(self, name: str) -> Callable[[], float]:
        turn = VARIANTS[name]
        is_compiled = "compile" in name
        # Autocast would cast all weights again for every token: bfloat16 samples from a copy made once an iteration.
        half = copy.deepcopy(self.policy).to(torch.bfloat16) if name.startswith("bf16") else None
        acting = half or self.policy
        sample = sampler(with_compiled_forward(acting) if is_compiled else acting, self.response, static=is_compiled)
        device = self.case["device"]
        read, policy_loss, value_loss = (turn(one, device) for one in (self.read, self.policy_loss, self.value_loss))

        def run() -> float:
            with torch.no_grad():
                if half is not None:
                    torch._foreach_copy_(list(half.parameters()), list(self.policy.parameters()))
                sequences = sample(self.prompts)
                log_probs, _, reference, values, scores = read(sequences)
                advantages, returns = self.targets(log_probs, reference, values, scores)
            for _ in range(self.case["epochs"]):
                rows = torch.randperm(len(sequences), device=sequences.device)  # All of them: one update an epoch, as the other programs make.
                loss = policy_loss(sequences[rows], log_probs[rows], advantages[rows])
                update(self.policy, self.policy_optimizer, loss, self.case["optimizer"]["clipNorm"])
                loss = value_loss(sequences[rows], values[rows], returns[rows])
                update(self.critic, self.critic_optimizer, loss, self.case["valueOptimizer"]["clipNorm"])
            return sequences.numel() - self.prompts.numel()

        return run


def build(case: dict) -> Task:
    loop = Loop(case)
    variants, skipped, versions = {}, {}, {}
    for name in case["variants"]:
        if name != "trl":
            variants[name] = loop.iteration(name)
            continue
        try:
            from ppo_trl import trl_iteration, trl_version
        except ImportError as error:
            skipped[name] = f"no PPOTrainer of TRL ({error}); its last is in trl 1.12.0"
            continue
        variants[name] = trl_iteration(loop, case)
        versions["trl"] = trl_version()
    return Task(parameter_count(loop.policy), variants, skipped, versions)
