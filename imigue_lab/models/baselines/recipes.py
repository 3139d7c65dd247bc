"""How the networks of Table 1 are trained by those who published them: settings, nothing more.

Source: the papers named in `table`, and pyskl's configurations for NTU RGB+D. What settings do not
say is left out: warm-up, rates of their own for parts, and clipped gradients of the video networks.
"""

from typing import Literal, NamedTuple

from imigue_lab.data.skeletons.augment import Augment

Optimizer = Literal["adamw", "sgd"]
Sampling = Literal["resample", "uniform"]

AUGMENTED = {"none": "", "turn": "scaled and turned", "mirror": "cropped and mirrored"}


class Recipe(NamedTuple):
    """Values of the settings of the same names, see `training.baseline_settings`."""

    optimizer: Optimizer
    lr: float
    weight_decay: float
    scheduler: str
    epochs: int
    batch_size: int
    frames: int
    sampling: Sampling
    augment: Augment = "none"
    test_clips: int = 1
    balance: float = 0.0

    def __str__(self) -> str:
        optimizer = {"adamw": "AdamW", "sgd": "SGD"}[self.optimizer]
        frames = f"{self.frames} frames" if self.frames else "all frames"
        parts = [
            f"{optimizer} {self.lr:g} for {self.batch_size} clips",
            f"decay {self.weight_decay:g}",
            self.scheduler.replace("steps:", "a tenth after epochs ").replace(":", " and "),
            f"{self.epochs} epochs",
            f"{frames} {'drawn uniformly' if self.sampling == 'uniform' else 'evenly'}",
            {"none": "", "turn": "scaled and turned", "mirror": "cropped and mirrored"}[
                self.augment
            ],
            f"mean of {self.test_clips} clips in the test" if self.test_clips > 1 else "",
        ]
        return ", ".join(part for part in parts if part)


PYSKL = Recipe("sgd", 0.1, 5e-4, "cosine", 80, 128, 100, "uniform", test_clips=10)
STRONG_AUG = PYSKL._replace(epochs=120, augment="turn")
DG_STGCN = PYSKL._replace(epochs=150, augment="turn")  # published: turned, not scaled
ST_GCN = Recipe("sgd", 0.1, 1e-4, "steps:10:50", 80, 128, 0, "resample")
POSEC3D = Recipe("sgd", 0.4, 3e-4, "cosine", 240, 256, 48, "uniform", "mirror", test_clips=10)
TSM = Recipe("sgd", 0.01, 1e-4, "steps:20:40", 50, 64, 8, "resample", "mirror")
DSCNET = TSM  # its stream of pictures is a TSM; a recipe of its own is not described
VIDEO_SWIN = Recipe("adamw", 1e-4, 0.02, "cosine", 30, 64, 32, "resample", "mirror")
VIDEO_SWIN_B = VIDEO_SWIN._replace(weight_decay=0.05)
POSE_ENCODER = Recipe("adamw", 1e-4, 1e-4, "plateau", 60, 32, 0, "resample", balance=0.5)
"""2s-AGCN as the paper on iMiGUE trains its encoders (section 5.1), which prints no epochs."""
RGB_ENCODER = POSE_ENCODER._replace(frames=16)
