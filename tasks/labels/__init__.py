"""From a model's logits to the tags of a video: label, scores, timeline.

Nothing here needs the model: another aggregate, label map or threshold is computed from the same
logits.
"""

from tasks.labels.label_map import LabelMap
from tasks.labels.provenance import model_name, parse_provenance, provenance
from tasks.labels.tagging import TagOptions, roll_up, video_tags
from tasks.scores import Activation

__all__ = [
    "Activation",
    "LabelMap",
    "TagOptions",
    "model_name",
    "parse_provenance",
    "provenance",
    "roll_up",
    "video_tags",
]
