"""Points are the bank's, the model's and its clips'; the plane is kept in the run and measured."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import make_blobs

from imigue_lab.data.vocabulary import CLASSES, GROUPS
from imigue_lab.errors import RunError
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.runs import Run
from imigue_lab.views.prototypes import points as prototypes
from imigue_lab.views.prototypes import projection as prototype_map
from imigue_lab.views.prototypes.plane import (
    DRAWN,
    WAYS,
    colour,
    hover_names,
    nearest_clips,
    points_on_plane,
    thin,
)
from imigue_lab.views.prototypes.points import CLIP, ENTRY, PROTOTYPE, Points, read_points
from imigue_lab.views.prototypes.projection import PrototypesSettings, flatten


@pytest.fixture(scope="module")
def points(looked):
    return read_points(looked)


@pytest.fixture(scope="module")
def flat(looked, points):
    return flatten(looked.run, points, PrototypesSettings(method="pca"))


def made_points(count, seed=0):
    """Three tight groups in ten dimensions."""
    vectors, label = make_blobs(count, 10, centers=3, cluster_std=0.3, random_state=seed)
    table = pd.DataFrame({"id": [f"clip-{n}" for n in range(count)], "kind": CLIP})
    table["clip_id"] = [f"{n:04d}_1" for n in range(count)]
    table["label"] = pd.array(label, dtype="Int64")
    return Points(vectors.astype(np.float32), table, [])


def test_every_entry_is_there_with_its_vector_source_confidence_and_age(looked, points):
    bank = load_gesture(looked.run, looked.data).gesture.memory.bank
    entries = points.of(ENTRY)
    assert len(entries) == int(bank.filled.sum()) > 10
    sources = bank.source_ids(looked.data.part("train").clip_id)
    for row, entry in entries.sample(8, random_state=0).iterrows():
        label, slot = map(int, entry.id.split("-")[1:])
        assert_allclose(points.vectors[row], bank.entries[label, slot])
        assert entry.clip_id == sources[label][slot]
        assert entry.confidence == pytest.approx(float(bank.confidence[label, slot]))
        assert entry.age == float(bank.age[label, slot])
        assert entry["name"] == CLASSES[label] and label in GROUPS[entry.group]


@torch.no_grad()
def test_clips_are_there_with_their_unrefined_feature_and_what_is_said(looked, points):
    system = load_gesture(looked.run, looked.data)
    clips = points.of(CLIP)
    assert set(clips.clip_id) == set(looked.data.part("test").clip_id)
    predictions = looked.run.predictions().set_index("clip_id")
    for row, clip in clips.sample(5, random_state=0).iterrows():
        own = predictions.loc[clip.clip_id]
        batch = looked.data.batch(pd.DataFrame({"clip_id": [clip.clip_id], "label": [0]}))
        assert_allclose(points.vectors[row], system(batch).fusion.f[0], atol=1e-4)
        assert clip.predicted == own.predicted and clip.label == own.label
        assert clip.told == ("right" if own.predicted == own.label else "wrong")
        assert clip.confidence == pytest.approx(own[f"p{own.predicted}"])


def test_prototypes_are_those_of_classes_with_entries(looked, points):
    memory = load_gesture(looked.run, looked.data).gesture.memory
    rows = points.of(PROTOTYPE)
    assert set(rows.label) == set(points.of(ENTRY).label)
    for row, prototype in rows.iterrows():
        assert_allclose(points.vectors[row], memory.prototypes.vectors.detach()[prototype.label])


def test_the_nearest_are_by_cosine_each_clip_once_and_no_prototypes(points):
    row = points.of(PROTOTYPE).index[0]
    near = points.nearest(row, 5)
    unit = points.vectors / np.linalg.norm(points.vectors, axis=1, keepdims=True)
    cosine = pd.Series(unit @ unit[row])[points.table.kind != PROTOTYPE]
    assert near.cosine.iloc[0] == pytest.approx(cosine.max(), abs=1e-5)
    assert near.cosine.is_monotonic_decreasing and near.clip_id.is_unique and len(near) == 5
    entry = points.of(ENTRY).index[0]
    assert points.table.clip_id[entry] not in set(points.nearest(entry).clip_id)


def test_pca_finds_the_axes_of_largest_spread_of_the_directions(points, flat):
    unit = points.vectors / np.linalg.norm(points.vectors, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(np.cov(unit.T))[::-1]
    assert_allclose(flat.table[["x", "y"]].var(), values[:2], rtol=1e-3)
    assert abs(flat.table.x.corr(flat.table.y)) < 1e-6


def test_umap_keeps_neighbours_together_and_says_the_same_twice(tmp_path):
    made, settings = made_points(90), PrototypesSettings(metric="euclidean", neighbours=8)
    one, two = (flatten(Run(tmp_path / name), made, settings) for name in "ab")
    assert_allclose(one.places[["x", "y"]], two.places[["x", "y"]])
    assert one.trust > 0.8 and one.silhouette[1] > 0.7
    xy, label = one.places[["x", "y"]].to_numpy(), made.table.label.to_numpy(int)
    far = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + 1e9 * np.eye(90)
    assert (label[far.argmin(axis=1)] == label).mean() > 0.95
    assert "neighbours 8" in one.method and "seed 0" in one.method


def test_places_are_kept_in_the_run_by_id_and_used_again(tmp_path, monkeypatch):
    run, made = Run(tmp_path / "run"), made_points(40)
    settings = PrototypesSettings(method="pca")
    first = flatten(run, made, settings)
    (file,) = (run.folder / "views").glob("pca-*.parquet")
    kept = pd.read_parquet(file)
    assert list(kept.id) == list(made.table.id)

    def never(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(prototype_map, "by_pca", never)
    assert_allclose(flatten(run, made, settings).places.x, first.places.x)
    with pytest.raises(AssertionError, match="made again"):  # another metric is another picture
        flatten(run, made, PrototypesSettings(method="pca", metric="euclidean"))
    with pytest.raises(AssertionError, match="made again"):  # and so are other features
        flatten(run, made_points(40, seed=1), settings)
    shuffled = kept.sample(frac=1, random_state=0)
    shuffled.to_parquet(file, index=False)
    assert_allclose(flatten(run, made, settings).table.x, first.table.x)


def test_few_points_are_laid_out_by_pca_and_hardly_any_are_refused(tmp_path):
    assert flatten(Run(tmp_path), made_points(12), PrototypesSettings()).method.startswith("PCA")
    with pytest.raises(RunError, match="has 2 points to show"):
        flatten(Run(tmp_path), made_points(2), PrototypesSettings())


def test_measures_tell_a_good_plane_from_a_shuffled_one(tmp_path):
    made, settings = made_points(60), PrototypesSettings(method="pca", metric="euclidean")
    good = flatten(Run(tmp_path), made, settings)
    mixed = good.places.assign(x=good.places.x.sample(frac=1, random_state=0).to_numpy())
    trust, (space, plane), n = prototype_map.measure(made, mixed, settings)
    assert good.trust > 0.9 > trust
    assert good.silhouette[0] == pytest.approx(space) and plane < good.silhouette[1]
    assert n == 60


def test_unlabelled_clips_are_shown_and_not_measured(tmp_path):
    made = made_points(30)
    made.table["label"] = pd.array([pd.NA] * 30, dtype="Int64")
    flat = flatten(Run(tmp_path), made, PrototypesSettings(method="pca"))
    assert np.isnan(flat.silhouette).all() and flat.trust > 0


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_colouring_says_what_is_known(points, way):
    table = points.table
    colouring = colour(table, way)
    known = {
        "class": table.label.notna(),
        "group": table.group.notna(),
        "confidence": table.confidence.notna(),
        "age": table.kind == ENTRY,
        "correctness": table.kind == CLIP,
    }[way]
    assert ((colouring.number >= 0) == known).all()
    assert len(colouring.names) == len(colouring.colours)
    row = int(np.flatnonzero(known)[-1])
    name = colouring.names[colouring.number[row]]
    if way == "class":
        assert name == f"{table.label[row]} · {table.name[row]}"
    elif way == "correctness":
        assert name == table.told[row]
    elif way == "confidence":
        low, high = map(float, name.split(" to "))
        assert low - 0.01 <= table.confidence[row] <= high + 0.01


def test_the_figure_draws_each_point_once_a_way_and_names_it(looked, points, flat):
    figure = points_on_plane(looked, flat)
    shown = [trace for trace in figure.data if trace.visible]
    assert sum(len(trace.x) for trace in shown) == len(points.table)
    assert sum(len(trace.x) for trace in figure.data) == len(WAYS) * len(points.table)
    names = {text for trace in shown for text in trace.text}
    assert names == set(hover_names(flat.table))
    title = figure.layout.title.text
    assert "trustworthiness" in title and "silhouette" in title and "synthetic" in title
    marks = {trace.marker.symbol for trace in shown}
    assert {mark.removesuffix("-open") for mark in marks} == set(colour(flat.table, "class").marks)
    classes = [trace.name for trace in shown if trace.showlegend]
    assert len(classes) == len(set(classes)) == flat.table.label.nunique()
    menu = figure.layout.updatemenus[0].buttons
    assert [button.label for button in menu] == list(WAYS)
    masks = np.array([button.args[0]["visible"] for button in menu])
    assert (masks.sum(axis=0) == 1).all()


def test_the_montage_names_the_nearest_and_says_where_pictures_are_missing(looked, points):
    figure = nearest_clips(looked, points, classes=2, most=3)
    counts = points.of(ENTRY).label.value_counts()
    row = points.table.index[points.table.id == f"prototype-{counts.index[0]}"][0]
    first = points.nearest(row, 1).iloc[0]
    texts = [note.text for note in figure.layout.annotations]
    assert texts[0] == f"{first.clip_id} · {first.label} · {first.cosine:.2f}"
    assert "is not under this root" in figure.layout.title.text


def test_a_run_without_memory_is_refused(looked, monkeypatch):
    forgetful = SimpleNamespace(gesture=SimpleNamespace(memory=None))
    monkeypatch.setattr(prototypes, "load_gesture", lambda *_: forgetful)
    with pytest.raises(RunError, match="looked: was trained without memory"):
        read_points(looked)


def test_a_page_draws_what_is_remembered_and_so_many_clips_as_it_carries():
    table = pd.DataFrame({"kind": [CLIP] * 5000 + [ENTRY] * 100 + [PROTOTYPE] * 3})
    kinds = table.kind[thin(table)].value_counts()
    assert (kinds[ENTRY], kinds[PROTOTYPE], kinds.sum()) == (100, 3, DRAWN)
