"""Evaluation: a checkpoint or an artifact over a dataset, scored as the paper and the benchmark do; ``sal-eval``.

    model = open_model(Path("salema30.onnx"))
    clips = choose_clips(Path("DHF1K"), "val")
    found = evaluate(model, clips, Options(alphas=(0.05, 0.1, 0.2)))

No torch is imported unless a checkpoint is opened, so that an artifact can be scored where it will run.
"""

from sal_train.evaluation.baseline import Baseline
from sal_train.evaluation.compare import Comparison, compare
from sal_train.evaluation.model import Model, open_model
from sal_train.evaluation.report import Evaluation, Run
from sal_train.evaluation.run import Options, choose_clips, evaluate

__all__ = [
    "Baseline",
    "Comparison",
    "Evaluation",
    "Model",
    "Options",
    "Run",
    "choose_clips",
    "compare",
    "evaluate",
    "open_model",
]
