"""The PyTorch side of `npm run bench -- --against torch`: one case, timed one repetition at a time.

Reads a case as one JSON line, sets it up, and answers `{"ready": true, …}`. Then every line `{"run": "<variant>"}` is
answered with the milliseconds of one repetition, so that the other side can run its own in between. Ends with stdin.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

# Libraries print to stdout: what they print goes to stderr, and the answers have stdout to themselves.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

# Nothing is fetched: weights come from the other side.
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false", DO_NOT_TRACK="1")

TASKS = {"train": "train_step", "lora": "lora_step", "reward": "reward_step", "generate": "generation", "ppo": "ppo"}


def answer(content: dict) -> None:
    ANSWERS.write(json.dumps(content) + "\n")


def main() -> None:
    case = json.loads(sys.stdin.readline())
    # Libraries without their own setting read these when they load.
    os.environ.update(OMP_NUM_THREADS=str(case["threads"]), MKL_NUM_THREADS=str(case["threads"]))
    try:
        import torch
        import transformers
    except ImportError as error:
        return answer({"missing": error.name or str(error)})
    sys.path.insert(0, str(Path(__file__).parent))
    torch.set_num_threads(case["threads"])
    is_gpu = case["device"] == "cuda"
    if is_gpu and not torch.cuda.is_available():
        return answer({"error": f"PyTorch {torch.__version__} sees no GPU. Install a build for CUDA, or use --device cpu."})
    if is_gpu:
        # "high" is TensorFloat-32 on Ampere and newer (torch.backends.cuda.matmul.allow_tf32); the default is "highest".
        torch.set_float32_matmul_precision("high" if case["float32"] == "tf32" else "highest")
    torch.manual_seed(1)
    try:
        module = importlib.import_module(TASKS[case["task"]])
    except ModuleNotFoundError as error:
        return answer({"missing": error.name or str(error)})
    task = module.build(case)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__}
    if is_gpu:
        versions |= {"cuda": str(torch.version.cuda), "gpu": torch.cuda.get_device_name()}
    answer({"ready": True, "parameters": task.parameters, "versions": versions | task.versions, "skipped": task.skipped})
    for line in sys.stdin:
        variant = json.loads(line)["run"]
        try:
            run = task.variants[variant]
            began, busy = time.perf_counter(), time.process_time()
            value = run()
            if is_gpu:
                torch.cuda.synchronize()
            ms, cpu_ms = 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - busy)
            answer({"ms": ms, "cpuMs": cpu_ms, "value": value})
        except Exception as error:  # One variant that does not work here must not end the others.
            answer({"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"})


if __name__ == "__main__":
    main()
