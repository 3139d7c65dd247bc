"""A search never uses the test split, can be continued, and stores the best as a preset."""

import shutil
import time

import pytest

from imigue_lab.data.splits import nest
from imigue_lab.data.store import open_features
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.studies import search as searching
from imigue_lab.studies.search import (
    SPACES,
    describe_best,
    keep_best,
    refuse_test,
    score_best,
    search,
    suggest,
    trials_table,
)
from imigue_lab.studies.trials import AblationSettings, SearchSettings, tickets
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.runs import Run, runs_folder
from imigue_lab.training.settings import read_preset, write_preset
from imigue_lab.training.tasks import load_once
from imigue_lab.views.studies import importance, parallel, slices


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_data(
        tmp_path_factory.mktemp("search") / "tree", SyntheticSpec(videos=60, pictures=False)
    )


@pytest.fixture
def settings_of(whole):
    def build(**changes):
        small = {"data": str(whole.root), "given": "epochs:1 width:8", "trials": 2, "folds": 2}
        return SearchSettings.from_arguments(small | changes)

    return build


def runs():
    return {path.parent.name for path in runs_folder().glob("*/scores.json")}


def test_a_search_never_uses_the_test_split(settings_of, whole, tmp_path):
    """Without its features and with its outcomes flipped, the search gives the same values."""
    before = runs()
    study = search(settings_of(study="seen"))
    values = [trial.value for trial in study.trials]
    hidden = set(whole.videos.video_id[whole.videos.split == "test"])
    for name in runs() - before:
        assert not hidden & set(Run(runs_folder() / name).predictions().video_id)

    blind = tmp_path / "tree"
    index = make_data(blind, SyntheticSpec(videos=60, pictures=False))
    labels = index.videos.assign(label=index.videos.outcome.map({0: "lose", 1: "win"}))
    of_test = labels.video_id.isin(hidden)
    labels.loc[of_test, "label"] = labels.label[of_test].map({"win": "lose", "lose": "win"})
    labels[["video_id", "label"]].to_csv(tmp_path / "flipped.csv", index=False)
    for encoder in ("synthetic-context", "synthetic-face"):
        features = open_features(encoder, "", index)
        for video_id in hidden:
            features.path(video_id).unlink()
    given = f"epochs:1 width:8 labels:{tmp_path / 'flipped.csv'}"
    again = search(settings_of(study="blind", data=str(blind), given=given))
    assert [trial.value for trial in again.trials] == values


def test_a_run_that_used_the_test_split_ends_the_search(trained, index):
    with pytest.raises(AssertionError, match="has used the test split"):
        refuse_test(trained[0], index)


def test_early_stopping_uses_a_separate_split(settings_of):
    before = runs()
    search(settings_of(study="parts", seed=7, trials=1))
    for name in runs() - before:
        parts = Run(runs_folder() / name).predictions().groupby("split").subject.agg(set)
        assert not parts.train & parts.validation
        assert not parts.test & (parts.train | parts.validation)


def test_a_finished_search_returns_at_once_and_more_trials_continue_it(settings_of, monkeypatch):
    first = [trial.params for trial in search(settings_of(study="again")).trials]
    trained = []
    train = searching.train_quietly
    monkeypatch.setattr(searching, "train_quietly", lambda *a: trained.append(a) or train(*a))
    assert len(search(settings_of(study="again")).trials) == 2 and not trained
    more = search(settings_of(study="again", trials=3))
    assert len(trained) == 2
    assert [trial.params for trial in more.trials[:2]] == first
    with pytest.raises(RunError, match="started with other settings: width is 8, expected 16"):
        search(settings_of(study="again", given="epochs:1 width:16"))


def test_only_scores_and_predictions_of_its_runs_are_kept(settings_of):
    before = runs()
    search(settings_of(study="thin", seed=9, trials=1))
    for name in runs() - before:
        left = {path.name for path in (runs_folder() / name).iterdir()}
        assert {"scores.json", "predictions.parquet"} < left
        assert not [file for file in left if file.endswith((".safetensors", ".pt"))]


def test_a_search_ends_after_its_minutes(settings_of):
    begun = time.monotonic()
    study = search(settings_of(study="minutes", trials=0, minutes=0.02))
    assert len(tickets(study, "COMPLETE", "PRUNED")) >= 1
    assert time.monotonic() - begun < 20
    with pytest.raises(SettingsError, match="trials: 0 needs minutes"):
        settings_of(trials=0)


def test_a_diverging_trial_is_marked_and_the_next_one_runs(settings_of, monkeypatch, capsys):
    train, count = searching.train_quietly, iter(range(10))

    def diverge(*words):
        if next(count) == 0:
            raise RunError("the training loss is nan at step 0")
        return train(*words)

    monkeypatch.setattr(searching, "train_quietly", diverge)
    study = search(settings_of(study="diverge", seed=11))
    assert len(tickets(study, "FAIL")) == len(tickets(study, "COMPLETE")) == 1
    assert "failed: the training loss is nan" in capsys.readouterr().out


def test_the_best_settings_become_a_preset_for_training(settings_of):
    settings = settings_of(study="kept", trials=3)
    study = search(settings)
    assert keep_best(study, settings) == "kept"
    taken = EmotionSettings.from_arguments({"preset": "kept", "epochs": 5})
    assert (taken.width, taken.epochs, taken.lr) == (8, 5, study.best_params["lr"])
    assert read_preset("kept")["origin"]["folds"] == study.best_trial.user_attrs["folds"]
    assert AblationSettings.from_arguments({"preset": "kept"}).preset == "kept"
    with pytest.raises(SettingsError, match="preset: 'keptt' is not known; there are: paper, "):
        EmotionSettings.from_arguments({"preset": "keptt"})


def test_the_best_settings_are_scored_on_a_fold_that_no_trial_used(settings_of, whole):
    settings = settings_of(study="nested", trials=3)
    study = search(settings)
    row = score_best(study, settings)
    unseen = nest(whole, "outcome", settings.folds, settings.seed).videos
    unseen = set(unseen.subject[unseen.split == "test"])
    for fold in range(settings.folds):
        searched = nest(whole, "outcome", fold, settings.seed).videos
        assert not unseen & set(searched.subject[searched.split == "test"])
    assert row["n"] == whole.videos[whole.videos.split != "test"].subject.isin(unseen).sum()
    assert "on a fold that no trial was scored on" in describe_best(study, settings)
    everything = settings_of(study="nested-all", trials=1, folds=5)
    assert "it is optimistic, because no fold is left" in describe_best(
        search(everything), everything
    )


def test_a_study_of_a_given_name_refuses_other_data_and_derived_names_differ(settings_of, tmp_path):
    other = make_data(tmp_path / "tree", SyntheticSpec(videos=60, pictures=False, seed=1)).root
    search(settings_of(study="mine", trials=1))
    with pytest.raises(RunError, match="other settings: digest of the data is"):
        search(settings_of(study="mine", trials=1, data=str(other)))
    names = {
        search(settings_of(trials=1, data=str(d))).study_name
        for d in (other, other.parent / "tree")
    }
    assert len(names) == 1
    assert search(settings_of(trials=1)).study_name not in names


def test_the_choice_is_not_scored_on_data_that_have_changed_since(tmp_path, settings_of):
    store, root = tmp_path / "store", tmp_path / "tree"
    make_data(root, SyntheticSpec(videos=60, pictures=False, seed=1), store=str(store))
    settings = settings_of(study="changed", trials=1, data=str(root), store=str(store))
    study = search(settings)
    table = root / "emotion_labels.csv"
    table.write_text(table.read_text().replace("Win", "Lose", 1))
    with pytest.raises(RunError, match="other settings: digest of the data is"):
        describe_best(study, settings)


def test_a_preset_of_another_task_falls_back_to_its_base_preset():
    write_preset("bare", "GestureSettings", "", {"width": 24}, {})
    write_preset("paperlike", "GestureSettings", "paper", {"width": 512, "lr": 3e-4}, {})
    assert GestureSettings.from_arguments({"preset": "bare"}).width == 24
    assert BaselineSettings.from_arguments({"preset": "bare"}) == BaselineSettings(preset="bare")
    assert BaselineSettings.from_arguments({"preset": "paperlike"}).size == "paper"


def test_the_emotion_ranges_are_those_of_the_paper(settings_of):
    import optuna

    base = settings_of(given="width:32").of_run()
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    values = [suggest(drawn.ask(), SPACES["emotion"], base) for _ in range(200)]
    ends = {
        name: (min(v[name] for v in values), max(v[name] for v in values)) for name in values[0]
    }
    assert 1e-5 <= ends["lr"][0] < 2e-5 and 3e-4 < ends["lr"][1] <= 5e-4
    assert ends["depth"] == (1, 8) and {v["heads"] for v in values} == {2, 4, 8}
    assert 0.1 <= ends["dropout"][0] < 0.11 and 0.49 < ends["dropout"][1] <= 0.5
    assert 0.5 <= ends["gamma"][0] < 0.51 and 1.49 < ends["gamma"][1] <= 1.5
    with pytest.raises(SettingsError, match="width: 9 is a multiple of none"):
        suggest(drawn.ask(), SPACES["emotion"], EmotionSettings(width=9, heads=3))


def test_figures_show_the_finished_trials(settings_of):
    study = search(settings_of(study="figures", trials=4))
    table = trials_table(study)
    assert table.value.iloc[0] == study.best_value
    assert set(importance(study).data[0].y) == set(study.best_params)
    assert len(slices(study).data) == len(study.best_params)
    assert all(name in str(parallel(study).to_dict()) for name in study.best_params)
    assert "are synthetic" in slices(study).layout.title.text
    fresh = search(settings_of(study="few", trials=1))
    assert "increase `trials`" in importance(fresh).layout.annotations[0].text


def test_a_gesture_search_never_uses_the_test_split(whole):
    load_once.cache_clear()
    given = {"task": "gesture", "data": str(whole.root), "trials": 1, "folds": 1, "study": "g"}
    small = "frames:8 epochs:1 warmup:0"
    study = search(SearchSettings.from_arguments(given | {"given": small}))
    hidden = set(whole.videos.video_id[whole.videos.split == "test"])
    last = max(runs_folder().glob("gesture-*/scores.json"), key=lambda path: path.stat().st_mtime)
    predictions = Run(last.parent).predictions()
    assert not hidden & set(predictions.video_id)
    scored = predictions[predictions.split == "test"]
    fold = nest(whole, "label", 0, 0).clips
    assert set(scored.clip_id) == set(fold.clip_id[fold.split == "test"])
    assert study.best_value == pytest.approx((scored.predicted == scored.label).mean())
    shutil.rmtree(last.parent)


def test_a_recognition_search_never_uses_the_test_split(whole):
    load_once.cache_clear()
    given = {"task": "recognition", "data": str(whole.root), "trials": 1, "folds": 1, "study": "r"}
    before = runs()
    study = search(SearchSettings.from_arguments(given | {"given": "epochs:1 width:8"}))
    hidden = set(whole.videos.video_id[whole.videos.split == "test"])
    (name,) = runs() - before
    run = Run(runs_folder() / name)
    assert not hidden & set(run.predictions().video_id)
    scored = run.scores().set_index(["split", "predictor"]).loc["test", "model"]
    fold = nest(whole, "label", 0, 0).clips
    assert scored.n == (fold.split == "test").sum()
    assert study.best_value == scored.f1_50
    shutil.rmtree(run.folder)
