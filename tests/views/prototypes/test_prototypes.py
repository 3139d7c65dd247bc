"""Points are those of the bank, the model and its clips; the plane is stored and measured."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.datasets import make_blobs

from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError
from imigue_lab.training.gestures.train import load_gesture
from imigue_lab.training.runs import Run
from imigue_lab.views.prototypes import points as prototypes
from imigue_lab.views.prototypes.plane import (
    COLOUR_BY,
    DRAWN,
    add_class_ids,
    colour_points,
    drawn_rows,
    hover_names,
    nearest_clips,
    points_on_plane,
)
from imigue_lab.views.prototypes.points import (
    CLIP,
    ENTRY,
    PROTOTYPE,
    Points,
    PrototypesSettings,
    project,
    read_points,
)
from tests.views.texts import labels_of, text_of

IMIGUE = builtin("imigue")


@pytest.fixture(scope="module")
def points(looked):
    return read_points(looked)


@pytest.fixture(scope="module")
def flat(looked, points):
    return project(looked.run, points, PrototypesSettings(method="pca"))


def blobs(count, seed=0):
    """Three tight groups in ten dimensions."""
    vectors, label = make_blobs(count, 10, centers=3, cluster_std=0.3, random_state=seed)
    table = pd.DataFrame({"id": [f"clip-{n}" for n in range(count)], "kind": CLIP})
    table["clip_id"] = [f"{n:04d}_1" for n in range(count)]
    table["label"] = pd.array(label, dtype="Int64")
    return Points(vectors.astype(np.float32), table, [], IMIGUE)


def test_every_entry_has_its_vector_source_confidence_and_age(looked, points):
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
        assert entry["name"] == IMIGUE.label(label) and entry.group == IMIGUE.groups[label]


@torch.no_grad()
def test_clips_have_their_unrefined_feature_and_prediction(looked, points):
    system = load_gesture(looked.run, looked.data)
    clips = points.of(CLIP)
    assert set(clips.clip_id) == set(looked.data.part("test").clip_id)
    predictions = looked.run.predictions().set_index("clip_id")
    for row, clip in clips.sample(5, random_state=0).iterrows():
        own = predictions.loc[clip.clip_id]
        batch = looked.data.batch(pd.DataFrame({"clip_id": [clip.clip_id], "label": [0]}))
        assert_allclose(points.vectors[row], system(batch).fusion.f[0], atol=1e-4)
        assert clip.predicted == own.predicted and clip.label == own.label
        assert clip.correctness == ("correct" if own.predicted == own.label else "incorrect")
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


def test_umap_keeps_neighbours_together_and_is_deterministic(tmp_path):
    groups, settings = blobs(90), PrototypesSettings(metric="euclidean", neighbours=8)
    one, two = (project(Run(tmp_path / name), groups, settings) for name in "ab")
    assert_allclose(one.places[["x", "y"]], two.places[["x", "y"]])
    assert one.trust > 0.8 and one.silhouette[1] > 0.7
    xy, label = one.places[["x", "y"]].to_numpy(), groups.table.label.to_numpy(int)
    far = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + 1e9 * np.eye(90)
    assert (label[far.argmin(axis=1)] == label).mean() > 0.95
    assert "neighbours 8" in one.method and "seed 0" in one.method


@pytest.mark.filterwarnings("ignore:Tensorflow not installed")
def test_umap_sees_the_points_in_no_order_of_files_and_places_them_by_id(tmp_path, monkeypatch):
    groups, seen = blobs(40), []

    class Rows:
        def __init__(self, **_):
            pass

        def fit_transform(self, vectors):
            seen.append(vectors)
            return vectors[:, :2]

    monkeypatch.setattr("umap.UMAP", Rows)
    found = project(Run(tmp_path / "run"), groups, PrototypesSettings())
    assert_allclose(found.places[["x", "y"]], groups.vectors[:, :2], rtol=1e-6)
    order = [np.flatnonzero((groups.vectors == row).all(axis=1))[0] for row in seen[0]]
    assert sorted(order) == list(range(40)) and np.abs(np.diff(order)).mean() > 5


def test_places_are_stored_in_the_run_by_id_and_read_again(tmp_path, monkeypatch):
    run, groups = Run(tmp_path / "run"), blobs(40)
    settings = PrototypesSettings(method="pca")
    first = project(run, groups, settings)
    (file,) = (run.folder / "views").glob("pca-*.parquet")
    kept = pd.read_parquet(file)
    assert list(kept.id) == list(groups.table.id)

    def never(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(prototypes, "by_pca", never)
    assert_allclose(project(run, groups, settings).places.x, first.places.x)
    with pytest.raises(AssertionError, match="computed again"):  # another metric
        project(run, groups, PrototypesSettings(method="pca", metric="euclidean"))
    with pytest.raises(AssertionError, match="computed again"):  # other features
        project(run, blobs(40, seed=1), settings)
    shuffled = kept.sample(frac=1, random_state=0)
    shuffled.to_parquet(file, index=False)
    assert_allclose(project(run, groups, settings).table.x, first.table.x)


def test_few_points_use_pca_and_fewer_than_three_are_refused(tmp_path):
    assert project(Run(tmp_path), blobs(12), PrototypesSettings()).method.startswith("PCA")
    with pytest.raises(RunError, match="expected at least 3 points, got 2"):
        project(Run(tmp_path), blobs(2), PrototypesSettings())


def test_measures_of_a_good_plane_are_higher_than_of_a_shuffled_one(tmp_path):
    groups, settings = blobs(60), PrototypesSettings(method="pca", metric="euclidean")
    good = project(Run(tmp_path), groups, settings)
    mixed = good.places.assign(x=good.places.x.sample(frac=1, random_state=0).to_numpy())
    trust, (space, plane), n = prototypes.measure(groups, mixed, settings)
    assert good.trust > 0.9 > trust
    assert good.silhouette[0] == pytest.approx(space) and plane < good.silhouette[1]
    assert n == 60


def test_unlabelled_clips_are_shown_without_a_silhouette(tmp_path):
    groups = blobs(30)
    groups.table["label"] = pd.array([pd.NA] * 30, dtype="Int64")
    flat = project(Run(tmp_path), groups, PrototypesSettings(method="pca"))
    assert np.isnan(flat.silhouette).all() and flat.trust > 0


@pytest.mark.parametrize("by", COLOUR_BY)
def test_each_colouring_names_what_is_known(points, by):
    table = points.table
    colouring = colour_points(table, by, IMIGUE)
    known = {
        "class": table.label.notna(),
        "group": table.group.notna(),
        "confidence": table.confidence.notna(),
        "age": table.kind == ENTRY,
        "correctness": table.kind == CLIP,
    }[by]
    assert ((colouring.number >= 0) == known).all()
    assert len(colouring.names) == len(colouring.colours)
    row = int(np.flatnonzero(known)[-1])
    name = colouring.names[colouring.number[row]]
    if by == "class":
        assert name == table.name[row] == IMIGUE.label(table.label[row])
    elif by == "correctness":
        assert name == table.correctness[row]
    elif by == "confidence":
        low, high = map(float, name.split(" to "))
        assert low - 0.01 <= table.confidence[row] <= high + 0.01


def test_the_figure_draws_each_point_once_a_colouring_and_names_it(looked, points, flat):
    figure = points_on_plane(looked, flat)
    shown = [trace for trace in figure.data if trace.visible]
    assert sum(len(trace.x) for trace in shown) == len(points.table)
    assert sum(len(trace.x) for trace in figure.data) == len(COLOUR_BY) * len(points.table)
    names = {text for trace in shown for text in trace.text}
    assert names == {name.replace("\n", "<br>") for name in hover_names(flat.table, IMIGUE)}
    title = text_of(figure)
    assert "trustworthiness" in title and "silhouette" in title and "synthetic" in title
    marks = {trace.marker.symbol for trace in shown}
    assert {mark.removesuffix("-open") for mark in marks} == set(
        colour_points(flat.table, "class", IMIGUE).marks
    )
    classes = [trace.name for trace in shown if trace.showlegend]
    assert len(classes) == len(set(classes)) == flat.table.label.nunique()
    menu = figure.layout.updatemenus[0].buttons
    assert [button.label for button in menu] == list(COLOUR_BY)
    masks = np.array([button.args[0]["visible"] for button in menu])
    assert (masks.sum(axis=0) == 1).all()


def test_ids_of_classes_at_one_place_are_above_each_other():
    labels = pd.array([0, 1, 2], dtype="Int64")
    table = pd.DataFrame({"label": labels, "kind": ENTRY, "x": [0.0, 0.01, 1], "y": [0.0, 0, 1]})
    add_class_ids(figure := go.Figure(), table, IMIGUE)
    assert [note.yshift for note in figure.layout.annotations] == [13, 29, 13]


def test_the_montage_names_the_nearest_clips_and_notes_missing_pictures(looked, points):
    figure = nearest_clips(looked, points, classes=2, most=3)
    counts = points.of(ENTRY).label.value_counts()
    row = points.table.index[points.table.id == f"prototype-{counts.index[0]}"][0]
    first = points.nearest(row, 1).iloc[0]
    texts = labels_of(figure)
    rows = [text.replace("<br>", " ") for text in texts]
    assert rows[-2:] == [IMIGUE.label(label) for label in counts.index[:2]]  # beside the pictures
    assert texts[0] == f"{first.clip_id} · {IMIGUE.ids[first.label]} · {first.cosine:.2f}"
    assert "is not under this root" in text_of(figure)


def test_a_run_without_memory_is_refused(looked, monkeypatch):
    without_memory = SimpleNamespace(gesture=SimpleNamespace(memory=None))
    monkeypatch.setattr(prototypes, "load_gesture", lambda *_: without_memory)
    with pytest.raises(RunError, match="looked: was trained without memory"):
        read_points(looked)


def test_the_figure_draws_the_memory_and_a_limited_number_of_clips():
    table = pd.DataFrame({"kind": [CLIP] * 5000 + [ENTRY] * 100 + [PROTOTYPE] * 3})
    kinds = table.kind[drawn_rows(table)].value_counts()
    assert (kinds[ENTRY], kinds[PROTOTYPE], kinds.sum()) == (100, 3, DRAWN)
