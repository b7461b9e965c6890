"""Saliency metrics by the DHF1K benchmark's definitions, per frame, per video and per dataset. NumPy only."""

from sal_train.metrics.distribution import cc, kl, sim
from sal_train.metrics.location import auc_judd, auc_shuffled, information_gain, nss
from sal_train.metrics.others import OtherFixations
from sal_train.metrics.resize import resize_bicubic
from sal_train.metrics.results import DatasetScores, VideoScores
from sal_train.metrics.score import METRICS, PAPER, Scores, score_frame, score_frames

__all__ = [
    "METRICS",
    "PAPER",
    "DatasetScores",
    "OtherFixations",
    "Scores",
    "VideoScores",
    "auc_judd",
    "auc_shuffled",
    "cc",
    "information_gain",
    "kl",
    "nss",
    "resize_bicubic",
    "score_frame",
    "score_frames",
    "sim",
]
