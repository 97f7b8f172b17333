"""A teacher and its student from one command."""

from __future__ import annotations

from dataclasses import replace

from classifier_training.training.pipeline import Tracker, TrainOptions, TrainResult, train
from classifier_training.training.workers import TrainingError, launched_processes
from router_backend.contract import MODEL_FILE

TEACHER_FOLDER = "teacher"


def train_taught(options: TrainOptions, layers: int, track: Tracker, epochs: float | None = None) -> TrainResult | None:
    """Train a teacher of `layers` layers in a folder of `options.out`, and the student that starts from its first ones and imitates it.

    A teacher that is there already isn't trained again, so an interrupted run goes on where it was.

    Args:
        epochs: of the teacher; None: as many as the student's.

    Raises:
        TrainingError: no student is asked for, or several processes train; and whatever `train` raises.
    """
    if options.student is None:
        raise TrainingError("--teacher-layers makes a teacher for a student: use it with --student")
    if launched_processes() > 1:
        raise TrainingError(
            "several processes train one artifact: train the teacher first, then give it with --teacher"
        )
    teacher = options.out / TEACHER_FOLDER
    if not (teacher / MODEL_FILE).is_file():
        fit = options.fit if epochs is None else replace(options.fit, epochs=epochs)
        train(replace(options, out=teacher, student=None, layers=layers, warm_start=None, teachers=(), fit=fit), track)
    return train(replace(options, encoder=str(teacher), teachers=(*options.teachers, teacher)), track)
