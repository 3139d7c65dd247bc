"""Settings: presets, precedence, and one-sentence errors."""

import re

import pytest

from imigue_lab.errors import SettingsError
from imigue_lab.results.open import FusionSettings
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.settings import NAME


def test_arguments_override_the_preset_and_the_preset_overrides_defaults():
    settings = EmotionSettings.from_arguments({"preset": "paper", "lr": 1e-4})
    assert (settings.width, settings.depth, settings.heads, settings.dropout) == (512, 8, 4, 0.5)
    assert (settings.batch_size, settings.gamma, settings.epochs, settings.patience) == (
        8,
        0.5,
        20,
        7,
    )
    assert settings.lr == 1e-4
    assert EmotionSettings.from_arguments({"preset": "paper"}).lr == 1e-7
    assert EmotionSettings().lr == 1e-4


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"gama": 0.5}, "gama: no such parameter; did you mean gamma?"),
        ({"zebra": 1}, "zebra: no such parameter; there are: data"),
        ({"gamma": -1}, "gamma: input should be greater than or equal to 0, got -1"),
        ({"gamma": "high"}, "gamma: input should be a valid number"),
        ({"gamma": float("nan")}, "gamma: input should be a finite number"),
        ({"epochs": 2.5}, "epochs: input should be a valid integer"),
        ({"fusion": "early"}, "fusion: input should be 'interfusion'"),
        ({"name": 1}, "name: expected text, got the number 1"),
        ({"name": "../elsewhere"}, "name: string should match pattern"),
        ({"heads": 5}, "heads: 5 does not divide width 32"),
        ({"preset": "papr"}, "preset: 'papr' is not known; there are: paper"),
    ],
)
def test_invalid_settings_are_reported_in_one_sentence(given, complaint):
    with pytest.raises(SettingsError) as caught:
        EmotionSettings.from_arguments(given)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_a_number_for_text_names_the_raw_option():
    with pytest.raises(SettingsError, match="use -r name, with the text as"):
        EmotionSettings.from_arguments({"name": 1})


def test_only_what_changes_a_result_is_in_the_fingerprint():
    plain = EmotionSettings()
    same = EmotionSettings(name="mine", device="cpu", store="/elsewhere", data="/moved")
    assert plain.fingerprint("d") == same.fingerprint("d")
    assert plain.fingerprint("d") != plain.fingerprint("other data")
    fingerprints = {EmotionSettings(gamma=g).fingerprint("d") for g in (0.5, 1.0, 1.5)}
    assert len(fingerprints) == 3


def test_paths_are_kept_absolute_and_names_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "synthetic", "mvit-context", "looked", "elsewhere/run"):
        (tmp_path / folder).mkdir(parents=True)
    given = {"data": "data", "store": "not/yet", "joint_run": "looked", "bone_run": "elsewhere/run"}
    settings = GestureSettings.from_arguments(given)
    assert settings.data == str(tmp_path / "data")
    assert settings.store == str(tmp_path / "not" / "yet")  # extraction makes it
    assert settings.joint_run == "looked"
    assert settings.bone_run == str(tmp_path / "elsewhere" / "run")
    assert GestureSettings.from_arguments({"data": "synthetic"}).data == "synthetic"
    (tmp_path / "j.pth").touch()
    for given, kept in [
        ("looked", "looked"),
        ("j.pth", str(tmp_path / "j.pth")),
        ("looked, elsewhere/run", f"looked,{tmp_path / 'elsewhere' / 'run'}"),
    ]:
        assert BaselineSettings.from_arguments({"checkpoint": given}).checkpoint == kept


@pytest.mark.parametrize("settings", [EmotionSettings, BaselineSettings])
def test_every_parameter_has_a_help_text(settings):
    assert all(field.description for field in settings.model_fields.values())


def test_the_paper_trains_its_pose_encoder_on_whole_clips_at_full_size():
    paper = BaselineSettings.from_arguments({"preset": "paper", "stream": "bone"})
    assert (paper.size, paper.frames, paper.lr, paper.weight_decay) == ("paper", 0, 1e-4, 1e-4)
    assert paper.scheduler == "plateau" and paper.smoothing == 0


def test_a_run_is_named_after_what_differs_from_the_defaults_and_the_fingerprint():
    def name(cls=EmotionSettings, **given):
        return cls.from_arguments(given).run_name("emotion", "data").rpartition("-")

    assert name()[0] == name(data="/moved", device="cpu", name="mine")[0] == "emotion"
    assert name(seed=3, gamma=1, fusion="late")[0] == "emotion-late-gamma1-seed3"
    assert name(refit="true", decay_norms="false")[0] == "emotion-no_decay_norms-refit"
    other = name(BaselineSettings, model="st-gcn++", scheduler="cosine:1e-4:2e-4", size="paper")
    assert other[0] == "emotion-st-gcnpp-paper-cosine_1e-4_2e-4"
    assert name(gamma=1)[2] == EmotionSettings(gamma=1).fingerprint("data")
    paper = "".join(name(preset="paper"))
    assert 50 < len(paper) <= 60 and re.fullmatch(NAME, paper)
    assert name(BaselineSettings, pictures="ü/", model="tsm")[0] == "emotion-tsm-frames8-pictures"
    assert name(FusionSettings, runs=60 * "a", weights="search")[0] == "emotion-search"
