"""What each of two processes does; started by test_ranks.py with the variables of torchrun.

two_processes.py '{"emotion": {...}, "gesture": {...}, ...}'
"""

import json
import sys

from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.pretraining.settings import PretrainSettings
from imigue_lab.training.pretraining.train import pretrain
from imigue_lab.training.recognition.settings import RecognitionSettings
from imigue_lab.training.recognition.train import train_recognition

TRAININGS = {
    "emotion": (train_emotion, EmotionSettings),
    "gesture": (train_gesture, GestureSettings),
    "baseline": (train_baseline, BaselineSettings),
    "pictures": (train_baseline, BaselineSettings),
    "motion": (pretrain, PretrainSettings),
    "video": (pretrain, PretrainSettings),
    "frames": (train_recognition, RecognitionSettings),
    "pyramid": (train_recognition, RecognitionSettings),
}

if __name__ == "__main__":
    for task, given in json.loads(sys.argv[1]).items():
        train, settings = TRAININGS[task]
        train(settings.from_arguments(given))
