"""The parameters of 09_analyse_video."""

from pydantic import Field

from imigue_lab.features.faces import Detector
from imigue_lab.training.settings import Settings


class AnalyseSettings(Settings):
    """Parameters of 09_analyse_video."""

    video: str = Field("", description="your own mp4; empty: a made-up interview")
    keypoints: str = Field("", description="file, folder of OpenPose JSON, or rtmlib; empty: none")
    gesture_run: str = Field("demo", description="finished run of 01; demo: made first, tiny")
    emotion_run: str = Field("demo", description="finished run of 02; demo: made first, tiny")
    threshold: float = Field(
        0.0, ge=0, le=1, description="surety of a gesture; 0: as chosen for the run, else 0.5"
    )
    context_weights: str = Field("", description="of the run's MViTv2-S, as in 00")
    face_weights: str = Field("", description="of the run's SwinFace, as in 00")
    detector: Detector = Field("centerface", description="of the run's faces, as in 00")
    detector_weights: str = Field("", description="ONNX file, for yolo-face alone")
