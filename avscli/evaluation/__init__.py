"""Scores: a network on labelled frames, or stored masks against stored truth."""

from __future__ import annotations

from avscli.evaluation.frames import LabelledFrame, avsmix_frames, scene_frames
from avscli.evaluation.scoring import Scores, prepare_frames, score

__all__ = ["LabelledFrame", "Scores", "avsmix_frames", "prepare_frames", "scene_frames", "score"]
