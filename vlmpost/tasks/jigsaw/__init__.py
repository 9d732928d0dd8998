"""Visual jigsaw: tiles of a picture, clips of a video, points at different depths, to be put in order.

Source: arXiv 2509.25190; penghao-wu/visual_jigsaw at b3224c6. Nothing here is copied from either.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vlmpost.tasks.jigsaw.depth import DepthJigsaw
from vlmpost.tasks.jigsaw.image import ImageJigsaw
from vlmpost.tasks.jigsaw.video import VideoJigsaw
from vlmpost.tasks.task import Task

TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in (DepthJigsaw(), ImageJigsaw(), VideoJigsaw())})
