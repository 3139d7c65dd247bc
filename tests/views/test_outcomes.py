"""Outcomes of any names and number: training, scores, figures, card and export show the data's."""

import re
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from imigue_lab.errors import DataError, RunError, SettingsError
from imigue_lab.results.compare import scored_items
from imigue_lab.results.open import open_emotion_run, open_index
from imigue_lab.results.score_tables import show_scores
from imigue_lab.results.submit import submit
from imigue_lab.training.emotion.data import load_emotion_data
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import load_emotion, train_emotion
from imigue_lab.training.scores import probabilities
from imigue_lab.views.answers import (
    confusion_counts,
    error_figures,
    learning_curves,
    read_predictions,
)
from imigue_lab.views.card import write_card
from imigue_lab.views.export import save_figures
from imigue_lab.views.gates import by_correctness, withholding
from imigue_lab.views.gates.interview import GatesSettings, gate_lanes, gates_over_time
from imigue_lab.views.player.lanes import Moment

SPLITS = ["train"] * 18 + ["validation"] * 6 + ["test"] * 9
OF_MATCHES = re.compile(r"\b(win|wins|winners|won|lose|loses|tennis)\b", re.IGNORECASE)


@pytest.fixture
def trains(plain):
    """Trains on interviews with these outcomes in turn, which their face shows."""

    def train(*outcomes, **more):
        rows = [
            (f"v{n}", split, outcomes[n % len(outcomes)], f"s{n % 11}")
            for n, split in enumerate(SPLITS)
        ]
        root = plain(rows)
        for n in range(len(rows)):
            face = np.load(root / "face" / f"v{n}.npy")
            face[:, n % len(outcomes)] += 4
            np.save(root / "face" / f"v{n}.npy", face)
        own = {"data": str(root), "context": str(root / "context"), "face": str(root / "face")}
        small = {"width": 8, "heads": 2, "epochs": 12, "lr": 1e-2, "dropout": 0.0}
        settings = EmotionSettings.from_arguments({**own, **small, **more})
        data = load_emotion_data(settings)
        return train_emotion(settings, data), data

    return train


def everything_shown(run):
    """Every table and figure of 02 and 07, the card and the page of figures, as one text."""
    emotion = open_emotion_run(run.folder.name, GatesSettings())
    shown = withholding.choose_interview(emotion, "v30")
    predictions = read_predictions(run)
    modality = withholding.without_modality(shown.model, shown.batch)
    spans = withholding.without_span(shown.model, shown.batch, span=2)
    figures = {
        **error_figures(run, predictions),
        "curves": learning_curves(run),
        "gates": gates_over_time(run, replace(shown.gates, strips=(), face_share=None)),
        "withheld": withholding.withheld(run, shown.gates, modality, spans),
        "correctness": by_correctness.gates_by_correctness(
            run, by_correctness.mean_gates(run, emotion.data)
        ),
    }
    lanes = gate_lanes(Moment(emotion.index, "v30"), shown.gates)
    pages = [page.read_text() for page in (write_card(run), save_figures(run, "02", figures))]
    tables = [predictions, show_scores(run.scores()), emotion.data.summary(), run.metrics()]
    written = [path.read_text() for path in run.folder.glob("*.json")]
    text = [*(table.to_csv() for table in tables), str(lanes.lanes), *pages, *written]
    assert shown.gates.probability == pytest.approx(
        shown.gates.running.probability.iloc[-1], abs=1e-5
    )
    known = probabilities(run.predictions().set_index("video_id").loc[["v30"]])[0]
    place = run.outcomes().index(shown.gates.outcome)
    assert shown.gates.probability == pytest.approx(known[place], abs=1e-5)
    return "\n".join(text).replace(get_plotlyjs(), ""), shown.gates.outcome


def test_two_outcomes_of_other_names_are_shown_everywhere(trains):
    run, data = trains("Tense", "calm", positive="calm", name="calm-tense")
    assert run.outcomes() == data.split.outcomes == ("Tense", "calm")
    assert run.read_checkpoint("best")["model"].keys() == {
        *("context_dim", "face_dim", "width", "depth", "heads", "dropout", "fusion", "gate"),
        "stages",
        "standardise",
    }
    text, outcome = everything_shown(run)
    assert outcome == "calm"
    assert not OF_MATCHES.findall(text)
    for phrase in (
        "probability of calm",
        "share of calm",
        "always Tense",
        "Emotion: Tense or calm",
    ):
        assert phrase in text
    with pytest.raises(SettingsError, match="track 3 of own has plain, got 2025"):
        submit(run, 3, "2025")
    with zipfile.ZipFile(submit(run, 3)) as file:
        table = pd.read_csv(file.open("prediction.csv"), index_col="video_id")
    predicted = run.predictions().set_index("video_id").loc[table.index]
    assert (table.outcome == np.where(predicted.probability >= 0.5, "calm", "Tense")).all()


def test_three_outcomes_have_macro_scores_and_a_confusion_matrix(trains):
    run, data = trains("neutral", "tense", "calm", name="three")
    assert run.outcomes() == ("calm", "neutral", "tense")
    table = run.predictions()
    assert {"predicted", "p0", "p1", "p2"} <= set(table) and "logit" not in table
    np.testing.assert_allclose(probabilities(table).sum(axis=1), 1)
    scores = run.scores()
    assert scores.predictor.unique().tolist() == ["model", "always calm"]
    test = scores[scores.split == "test"].set_index("predictor")
    assert test.balanced_accuracy["model"] > 0.8 and test.p["model"] < 0.05
    assert test.balanced_accuracy["always calm"] == pytest.approx(1 / 3)
    assert "auc" not in scores and len(test.balanced_accuracy_interval["model"]) == 2
    counts = confusion_counts(read_predictions(run, "test"))
    assert counts.index.tolist() == ["calm", "neutral", "tense"] and counts.to_numpy().sum() == 9
    assert scored_items(run, "test").correct.sum() == test.correct["model"]
    text, outcome = everything_shown(run)
    assert outcome in run.outcomes() and f"probability of {outcome}" in text
    assert not OF_MATCHES.findall(text)
    assert load_emotion(run, data).head[1].out_features == 3


@pytest.mark.parametrize("fusion", ["late", "face_only"])
def test_models_without_gates_train_on_three_outcomes_too(trains, fusion):
    run, _ = trains("a1", "b1", "c1", epochs=2, fusion=fusion, fold=1)
    assert np.isfinite(run.metrics().to_numpy(dtype=float)).all()


def test_the_positive_outcome_is_one_of_two(trains):
    _, data = trains("tense", "calm", epochs=1)
    assert data.split.outcomes == ("calm", "tense")
    with pytest.raises(SettingsError, match=r"expected calm, tense, got 'clam'; did you mean calm"):
        trains("tense", "calm", positive="clam")
    with pytest.raises(SettingsError, match=r"positive: expected two outcomes, got 3 \(a, b, c\)"):
        trains("a", "b", "c", positive="b")
    with pytest.raises(DataError, match="outcome of every training interview is 'calm'; training"):
        trains("calm", epochs=1)


def test_a_run_is_of_its_outcomes(trains):
    run, data = trains("tense", "calm", epochs=1, positive="calm", name="own-outcomes")
    root = data.split.videos.pipe(lambda _: run.provenance()["where"]["data"])
    assert open_index(run, root).vocabulary.outcomes == ("calm", "tense")  # another order, as named
    _, other = trains("tense", "relaxed", epochs=1)
    with pytest.raises(RunError, match=r"classes has 'tense' at 0, expected 'relaxed'"):
        load_emotion(run, other)
    with pytest.raises(RunError, match="items have another outcome than in run own-outcomes"):
        open_index(run, root)


def test_two_outcomes_give_the_numbers_that_they_always_gave(quick):
    metrics = train_emotion(quick()).metrics()
    expected = {  # of the version that knew only win and lose
        "train_loss": [0.5153159499, 0.373023957, 0.2129566669],
        "validation_loss": [0.3963925242, 0.2999592721, 0.252602309],
        "validation_auc": [1.0, 1.0, 1.0],
    }
    for column, values in expected.items():
        np.testing.assert_allclose(metrics[column], values, rtol=1e-4)


def test_a_doubtful_category_is_remarked(plain):
    rows = [(f"v{n}", split, ("calm", "tense")[n % 2], f"s{n}") for n, split in enumerate(SPLITS)]
    rows += [("w1", "train", "n/a", "t"), ("w2", "train", "n/a", "t"), ("w3", "train", "sad", "t")]
    root = plain(rows)
    own = {"data": str(root), "context": str(root / "context"), "face": str(root / "face")}
    remarks = load_emotion_data(EmotionSettings.from_arguments(own)).remarks()
    assert "outcome 'n/a' looks like a missing value" in remarks
    assert "outcome 'sad' is the outcome of one video" in remarks
    table = pd.read_csv(root / "videos.csv", keep_default_na=False)
    table.assign(outcome=[*table.outcome[:-1], "tens"]).to_csv(root / "videos.csv", index=False)
    remarks = load_emotion_data(EmotionSettings.from_arguments(own)).remarks()
    assert "outcome 'tens' is the outcome of one video and almost 'tense'" in remarks
    known = table.outcome.map({"calm": "lose", "tense": "win", "sad": "wni"}).fillna("")
    table.assign(outcome=known).to_csv(root / "videos.csv", index=False)
    with pytest.raises(DataError, match=r":37: expected the outcome win, got 'wni'; correct it"):
        load_emotion_data(EmotionSettings.from_arguments(own))
