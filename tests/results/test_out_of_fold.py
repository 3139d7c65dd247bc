"""Weights out of fold, ensembles of folds and seeds, and emotion runs: what fusion joins by id."""

import shlex

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from imigue_lab.app import main
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError
from imigue_lab.results.fuse import fit_temperature, fuse, fusion_table, show_members, tempered
from imigue_lab.results.open import fold_runs, pooled
from imigue_lab.results.published_tables import table_one
from imigue_lab.results.submit import submit
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.emotion.settings import EmotionSettings
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.runs import Run, runs_folder
from imigue_lab.training.scores import labelled, probabilities
from imigue_lab.views.card import write_card

VIDEOS = 120


def items(fold=-1, emotion=False, seed=0):
    """Clips of four classes, or interviews, of 40 subjects; a fourth of them is the test split."""
    rng, video = np.random.default_rng(seed), np.arange(VIDEOS)
    subject = video // 3
    split = np.where(subject % 4 == 3, "test", "train").astype(object)
    held_out = subject % 20 == 0 if fold < 0 else subject // 4 % 5 == fold
    split[(split == "train") & held_out] = "validation"
    known = {"video_id": [f"{v:04d}" for v in video], "subject": [f"s{s}" for s in subject]}
    truth = pd.array(rng.integers(2 if emotion else 4, size=VIDEOS), dtype="Int64")
    if emotion:
        return pd.DataFrame(known | {"split": split, "outcome": truth})
    clips = {"clip_id": [f"{v:04d}_0" for v in video], **known}
    return pd.DataFrame(clips | {"split": split, "label": truth})


def predictions(known, skill, seed, sharpness=1.0):
    """Logits that favour the truth by `skill`, more where the item was trained on."""
    rng, emotion = np.random.default_rng(seed), "outcome" in known
    gain = skill + 6 * (known.split == "train").to_numpy()
    truth = known.iloc[:, -1].to_numpy(dtype=int)
    if emotion:
        logit = sharpness * (rng.normal(size=VIDEOS) + gain * (truth - 0.5))
        return known.assign(based_on="face", logit=logit, probability=expit(logit))
    logits = rng.normal(size=(VIDEOS, 4))
    logits[np.arange(VIDEOS), truth] += gain
    p = np.exp(sharpness * logits)
    p /= p.sum(axis=1, keepdims=True)
    table = known.assign(predicted=p.argmax(axis=1), based_on="pose")
    return table.join(pd.DataFrame(p).add_prefix("p"))


@pytest.fixture
def write(monkeypatch, tmp_path):
    """Writes finished runs into a separate workspace: the settings of a model, on one split."""
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path))

    def run(name, skill=1.0, seed=0, fold=-1, emotion=False, sharpness=1.0, data=0, **given):
        own = EmotionSettings if emotion else BaselineSettings
        settings = own.from_arguments({"fold": fold, "seed": seed, **given})
        done = Run(runs_folder() / name)
        content = {"task": "emotion" if emotion else "baseline", "data": {"digest": f"{fold}"}}
        done.write_json("settings.json", content | {"settings": settings.result_settings()})
        done.write_json("vocabulary.json", builtin("imigue").to_dict())
        known = items(fold, emotion, data)
        noise = [ord(name[0]), seed, fold + 1]
        done.write_predictions(predictions(known, skill, noise, sharpness))
        where = {"data": "/nowhere", "name": name}
        done.write_json("provenance.json", {"where": where, "remarks": [f"of {name}"]})
        done.write_scores(pd.DataFrame())
        return done

    def model(name, folds=range(5), **given):
        """A run on the official split, and those on the folds."""
        return [run(name, **given), *(run(f"{name}{fold}", fold=fold, **given) for fold in folds)]

    run.model = model
    return run


def weights_of(run):
    return fusion_table(run).groupby("run", sort=False).weight.first().tolist()


def test_out_of_fold_weights_ignore_validation_test_and_what_was_trained_on(write):
    """The stream that validation favours and its own training items favour is the worse one."""
    good = write.model("good", skill=3.0)
    bad = write.model("bad", skill=0.2, stream="bone")
    for run, skill in ((good[0], 0.0), (bad[0], 9.0)):  # three validation videos mislead
        run.write_predictions(predictions(items(), skill, 1))
    on_validation = weights_of(fuse(["good", "bad"], "search"))
    fused = fuse(["good", "bad"], "folds")
    assert weights_of(fused)[0] > 0.8 > 0.5 > on_validation[0]
    expected = sum(
        w * probabilities(run.predictions())
        for w, run in zip(weights_of(fused), (good[0], bad[0]), strict=True)
    )
    np.testing.assert_allclose(probabilities(fused.predictions()), expected, atol=1e-9)
    assert fused.provenance()["folds"][1] == [f"bad{fold}" for fold in range(5)]


def test_folds_hold_out_each_item_of_train_and_validation_once(write):
    runs = write.model("a")
    (held,) = pooled([fold_runs(runs[0])])
    known = runs[0].predictions()
    assert held.clip_id.tolist() == known.clip_id[known.split != "test"].tolist()
    assert held.fold.value_counts().to_dict() == dict.fromkeys(range(5), 18)


def test_the_gain_out_of_fold_comes_from_weights_of_the_other_folds(write):
    """Weights from the same items would always find a gain over two coins; these do not."""
    write.model("a", skill=2.0), write.model("b", skill=2.0, stream="bone")
    table = fusion_table(fuse(["a", "b"], "folds"))
    own = table[table.split == "out of fold"]
    assert own.n.tolist() == [90, 90] and (own.clusters == 30).all()
    assert own.best.sum() == 1 and (own.fusion_gains > 0).all()
    sentence = show_members(fuse(["a", "b"], "folds"))[1][0]
    assert sentence.startswith("out of fold: +") and "the best out of fold (90 clips" in sentence


def test_each_stream_has_a_temperature_of_its_out_of_fold_scores(write):
    write.model("a", skill=2.0, sharpness=5.0), write.model("b", skill=2.0, stream="bone")
    run = fuse(["a", "b"], "folds", temperature=True)
    sharp, plain = fusion_table(run).temperature[:2]
    (held,) = pooled([fold_runs(Run(runs_folder() / "a"))])
    assert sharp == pytest.approx(fit_temperature(held)) and sharp > 3 * plain
    assert "temperature" in show_members(run)[0]
    assert fit_temperature(tempered(held, sharp)) == pytest.approx(1, abs=0.01)


def test_a_missing_fold_is_named_with_the_command_that_trains_it(write, capsys):
    write.model("a"), write.model("b", folds=(0, 1, 3), stream="bone", refit=True)
    with pytest.raises(SystemExit) as end:
        main(["fuse", "a", "b", "--weights", "folds"])
    said = capsys.readouterr().err
    assert end.value.code == 1 and said.count("\n") == 1
    assert "b: expected finished runs of these settings on folds 0 to 4, got none on 0, 1" in said
    command = "imigue-lab train baseline --data /nowhere --fold 0 --stream bone"
    assert said.endswith(f"; train each, as by {command}\n")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"data": 9}, "got none on 2;"),  # other labels: other data
        ({"epochs": 3}, "got none on 2;"),
        ({"name": "twin"}, "a2 and twin are both of fold 2; delete one"),
    ],
)
def test_runs_of_other_data_or_settings_are_no_folds_of_a_model(write, change, complaint):
    write.model("a"), write.model("b", stream="bone")
    name = change.pop("name", "a2")
    twin = write(name, fold=2, **change)
    if name == "twin":
        content = twin.settings() | {"data": {"digest": "2", "checkpoint": "other"}}
        content["data"].pop("checkpoint")
        twin.write_json("settings.json", content | {"data": {"digest": "changed"}})
    with pytest.raises(RunError, match=complaint):
        fuse(["a", "b"], "folds")


def test_a_run_on_a_fold_has_no_folds_of_its_own(write):
    write.model("a"), write.model("b", stream="bone")
    with pytest.raises(RunError, match=r"a1: expected a run on the official split, .* of fold 1;"):
        fuse(["a1", "b1"], "folds")


def test_the_folds_and_seeds_of_one_model_are_averaged_and_only_the_test_counts_as_held_out(write):
    names = [run.folder.name for run in write.model("a")[1:]]
    run = fuse([*names, write("later", seed=7, fold=0).folder.name])
    table = run.predictions()
    assert set(table.split) == {"train", "test"} and set(run.scores().split) == {"test"}
    expected = np.mean([probabilities(Run(runs_folder() / n).predictions()) for n in names], axis=0)
    np.testing.assert_allclose(probabilities(fuse(names).predictions()), expected, atol=1e-9)
    assert not fusion_table(run).best.any() and show_members(run)[1] == []
    write("bones", fold=1, stream="bone")
    with pytest.raises(RunError, match="36 clips are not held out in both"):
        fuse(["a0", "bones"])
    with pytest.raises(RunError, match="validation has no labelled item to search on"):
        fuse(names, "search")


def test_an_ensemble_of_folds_without_any_known_truth_has_predictions_alone(write, capsys):
    for run in (runs := write.model("a")[1:]):
        table = run.predictions()
        run.write_predictions(table.assign(label=table.label.mask(table.split == "test")))
    main(["fuse", *(run.folder.name for run in runs), "--name", "hidden"])
    assert "Empty DataFrame" in capsys.readouterr().out
    fused = Run(runs_folder() / "hidden")
    assert fused.scores().empty and (fused.predictions().split == "test").sum() == 30
    assert "there are no scores" in write_card(fused).read_text()


def test_emotion_runs_are_fused_by_video_and_written_as_any_run(write, tmp_path):
    first, *_ = write.model("a", emotion=True, skill=2.0)
    second, *_ = write.model("b", emotion=True, skill=2.0, gamma=1.0)
    shuffled = second.predictions().sample(frac=1, random_state=0)
    second.write_predictions(shuffled.assign(based_on="context"))
    run = fuse(["a", "b"], "folds", temperature=True)
    table = run.predictions()
    assert table.columns[0] == "video_id" and set(table.based_on) == {"both"}
    plain = fuse(["a", "b"], "3:1").predictions()
    one, two = (own.predictions().set_index("video_id") for own in (first, second))
    expected = 0.75 * one.probability + 0.25 * two.probability.loc[one.index]
    np.testing.assert_allclose(plain.probability, expected)
    assert {"accuracy", "auc"} <= set(run.scores())
    assert "interviews of 30 subjects" in show_members(run)[1][0]
    text = write_card(run).read_text()
    assert "Emotion: lose or win, fusion of 2 runs" in text and "Hardest interviews" in text
    assert "fusion" not in set(table_one().method)
    with pytest.raises(RunError, match="expected a gesture run for Table 1, got one of emotion"):
        table_one([run])
    write("clips")
    with pytest.raises(RunError, match="a and clips: predict different numbers of classes"):
        fuse(["a", "clips"])
    backwards = builtin("imigue").to_dict() | {"outcomes": ["win", "lose"]}
    second.write_json("vocabulary.json", backwards)
    with pytest.raises(RunError, match=r"a and b: have the outcomes .*; train both with one"):
        fuse(["a", "b"])


def test_more_than_two_outcomes_are_fused_alike(write):
    for name in ("a", "b"):
        run = write(name, emotion=True)
        table = items(emotion=True).drop(columns="outcome")
        p = np.random.default_rng(ord(name)).dirichlet([1, 1, 1], size=VIDEOS)
        table = table.assign(outcome=np.arange(VIDEOS) % 3, predicted=p.argmax(axis=1))
        table = table.assign(based_on="both").join(pd.DataFrame(p).add_prefix("p"))
        run.write_predictions(table)
        three = builtin("imigue").to_dict() | {"outcomes": ["calm", "glad", "sad"]}
        run.write_json("vocabulary.json", three)
    fused = fuse(["a", "b"])
    table = fused.predictions()
    np.testing.assert_allclose(probabilities(table).sum(axis=1), 1)
    assert (table.predicted == probabilities(table).argmax(axis=1)).all()
    assert any(own.startswith("always ") for own in fused.scores().predictor)


def test_trained_emotion_folds_are_fused_and_submitted(trained, synthetic):
    """Five real runs on folds, found by their settings; the file of their ensemble."""
    run, _ = trained
    given = {"data": str(synthetic), "epochs": 1, "width": 8, "heads": 2, "seed": 4}
    folds = [train_emotion(EmotionSettings(**given, fold=fold)) for fold in range(5)]
    official = train_emotion(EmotionSettings(**given))
    assert fold_runs(official) == folds
    other = train_emotion(EmotionSettings(**given, name="fused-late", fusion="late"))
    assert fold_runs(official) == folds
    both = [official.folder.name, other.folder.name]
    for fold in range(5):  # the sentence about each missing one ends with its command
        with pytest.raises(RunError, match=f"got none on {fold}") as missing:
            fuse(both, "folds")
        main(shlex.split(str(missing.value).partition("as by imigue-lab ")[2]))
    table = fusion_table(fuse(both, "folds", temperature=True))
    known = official.predictions()
    assert table.n[table.split == "out of fold"].tolist() == [(known.split != "test").sum()] * 2
    ensemble = fuse([own.folder.name for own in folds], name="fused-folds")
    test = labelled(ensemble.predictions(), "test")
    assert len(test) == len(labelled(run.predictions(), "test"))
    assert submit(ensemble, 3, "plain").exists()
    assert "can no longer be checked" not in write_card(ensemble).read_text()
