"""The attention maps are those of the equations of section 2.4."""

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from numpy.testing import assert_allclose

from imigue_lab.errors import RunError
from imigue_lab.results.open import open_gesture_run
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.views.answers import choose_clip
from imigue_lab.views.attention import maps as views
from imigue_lab.views.attention.maps import TO_RGB, AttentionSettings, snapshot_at
from imigue_lab.views.attention.over_clip import LEGEND, attention_over_clip, outline_path
from imigue_lab.views.footage import Pictures, clip_pictures
from tests.views.texts import text_of


@pytest.fixture(scope="module")
def system(looked):
    return views.load_attentive(looked)


@pytest.fixture(scope="module")
def clip_id(looked):
    return choose_clip(looked.run)[0]


@pytest.fixture(scope="module")
def seen(looked, system, clip_id):
    return views.read_attention(looked, system, clip_id)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def by_hand(looked, system, clip_id):
    """Both directions' attention of head 1 (semantic) and 3 (spatial), in NumPy."""
    gesture, batch = system.gesture.double(), views.one_clip(looked, clip_id)
    rgb, pose = gesture.rgb(batch.rgb), gesture.pose(system.pose_tokens(batch))
    norms = gesture.fusion.rgb_norm, gesture.fusion.pose_norm
    values = [
        norm(t.values)[0].detach().numpy() for norm, t in zip(norms, (rgb, pose), strict=True)
    ]
    far = abs(rgb.times[0][:, None] - pose.times[0][None]).numpy()
    apart = np.linalg.norm(rgb.places[0][:, None] - pose.places[0][None], axis=-1)
    apart = np.where(pose.placed[0].numpy()[None], apart, 0)  # outside the crop: no such term
    mask = pose.mask[0].numpy()
    found = {}
    for name, (queries, keys), swap in (
        ("rgb_from_pose", values, False),
        ("pose_from_rgb", values[::-1], True),
    ):
        part = getattr(gesture.fusion, name)
        wq, bq = (t.detach().numpy() for t in (part.to_q.weight, part.to_q.bias))
        wk, bk = (t.detach().numpy() for t in (part.to_kv.weight, part.to_kv.bias))
        slopes = np.log1p(np.exp(part.slopes.detach().numpy()))
        heads = {}
        for head in (0, 2):
            rows = slice(4 * head, 4 * head + 4)  # width 24 in 6 heads
            q, k = queries @ wq[rows].T + bq[rows], keys @ wk[rows].T + bk[rows]
            logits = q @ k.T / 2
            if head == 2:
                gap = slopes[0, 0] * far + slopes[0, 1] * apart
                logits = logits - (gap.T if swap else gap)
            if not swap:
                logits = np.where(mask, logits, -np.inf)
            heads[head] = softmax(logits)
        found[name] = heads
    gesture.float()
    return found, mask


def test_weights_are_those_of_the_equations(seen, by_hand):
    found, mask = by_hand
    for head in (0, 2):
        assert_allclose(seen.rgb_from_pose[head], found["rgb_from_pose"][head], atol=1e-4)
        given = found["pose_from_rgb"][head][mask]
        assert_allclose(seen.pose_from_rgb[head][mask], given, atol=1e-4)


def test_maps_are_means_over_heads_and_queries_in_equal_shares(seen, by_hand):
    found, mask = by_hand
    given = found["pose_from_rgb"][2][mask].mean(axis=0) * 8 * 4 * 4
    assert_allclose(seen.on_places("head 3, spatial").ravel(), given, atol=2e-2)
    given = found["rgb_from_pose"][0].mean(axis=0) * mask.sum()
    drawn = seen.on_joints("head 1, semantic").ravel()
    assert_allclose(drawn[mask], given[mask], atol=2e-2)
    assert np.isnan(drawn[~mask]).all()
    assert seen.on_places().mean() == pytest.approx(1, abs=1e-4)


def test_layers_are_all_heads_the_criteria_each_head_and_what_comes_after(seen):
    layers = list(seen.layers)
    assert layers[:4] == ["all heads", "semantic", "spatial", "contextual"]
    assert layers[4:] == [
        *(f"head {n}, {seen.criteria[n - 1]}" for n in range(1, 7)),
        "after merging",
    ]
    two = [seen.on_places(f"head {n}, semantic") for n in (1, 2)]
    assert_allclose(seen.on_places("semantic"), np.mean(two, axis=0), rtol=1e-5)


def test_merged_tokens_are_the_rows_of_the_source_matrix(looked, system, seen, clip_id):
    with torch.no_grad():
        slots = system(views.one_clip(looked, clip_id)).fusion.merged.slots
    source = slots.source[0].numpy()
    held = [np.flatnonzero(row) for row in source if row.sum() > 1]
    assert sorted(map(tuple, held)) == sorted(tuple(sorted(group)) for group in seen.merged())
    assert held


def test_pairs_are_the_strongest_of_a_time_and_contextual_heads_have_none(seen):
    pairs = seen.pairs("spatial", 2, most=3)
    places, joints = seen.tokens_at(2)
    table = seen.seen.sum() * seen.rgb_from_pose[[2, 3]].mean(axis=0)[np.ix_(places, joints)]
    taken = [pair for pair in pairs if pair.to_rgb]
    assert_allclose([pair.weight for pair in taken], np.sort(table.ravel())[:-4:-1])
    first = taken[0]
    assert table[list(places).index(first.place), list(joints).index(first.joint)] == table.max()
    assert sum(not pair.to_rgb for pair in pairs) == 3
    assert seen.pairs("contextual", 2) == seen.pairs("after merging", 2) == []


def test_a_snapshot_is_positioned_at_the_crop_in_the_picture(seen):
    snapshot = snapshot_at(seen, (192, 144), 5, "semantic")
    # the crop is 126 pixels about the middle, in 4 x 4 cells
    assert_allclose(snapshot.columns, 33 + 31.5 * np.arange(5))
    assert_allclose(snapshot.rows, 9 + 31.5 * np.arange(5))
    assert_allclose(snapshot.heat, seen.on_places("semantic")[5])
    step = seen.step_at(5)
    joint = snapshot.names.index("left_wrist")
    place = seen.places[0, step, list(seen.joints).index("left_wrist")]
    assert_allclose(snapshot.joints[joint], place * 126 + np.array([33, 9]), rtol=1e-5)
    line = next(line for line in snapshot.lines if line.colour == TO_RGB)
    assert any(np.allclose(line.ends[0], spot) for spot in snapshot.joints)  # from a joint
    assert not any(np.allclose(line.ends[1], spot) for spot in snapshot.joints)


def heat_of(figure, row, column):
    axis = figure.get_subplot(row, column).yaxis.plotly_name.replace("axis", "")
    return next(t for t in figure.data if t.type == "heatmap" and t.yaxis == axis)


def test_the_figure_draws_maps_and_outlines_and_notes_what_is_missing(looked, seen):
    pictures = clip_pictures(looked.index, seen.clip_id, 8, looked.data.sizes[seen.clip_id])
    figure = attention_over_clip(looked.run, looked.index, seen, pictures, "named by a test")
    for row, layer in enumerate(["all heads", "semantic", "spatial"], start=1):
        drawn = heat_of(figure, row, 3).z
        assert_allclose(drawn, seen.on_places(layer)[2], atol=6e-4)
    title = text_of(figure)
    assert "synthetic" in title and "named by a test" in title
    assert "is not under this root" in title
    assert not figure.layout.images
    assert [t.name for t in figure.data if t.showlegend is None][-5:] == [
        name for *_, name in LEGEND
    ]
    outlines = [t for t in figure.data if "merged token" in (t.hovertemplate or "")]
    cells = sum(len([x for x in t.x if x is None]) for t in outlines if t.mode == "lines")
    assert cells == sum((group < 128).sum() for group in seen.merged())
    spots = sum(len(t.x) for t in outlines if t.mode == "markers")
    shown = 8 // seen.seen.shape[1]  # times at which one pose step is seen
    assert spots == shown * sum((group >= 128).sum() for group in seen.merged())


def test_an_outline_goes_around_its_cell(seen):
    snapshot = next(
        g
        for g in (snapshot_at(seen, (192, 144), time) for time in range(8))
        if any(len(outline.cells) for outline in g.outlines)
    )
    outline = next(o for o in snapshot.outlines if len(o.cells))
    x, y = outline_path(snapshot, outline)
    row, column = outline.cells[0]
    assert snapshot.columns[column] < min(x[:5]) < max(x[:5]) < snapshot.columns[column + 1]
    assert snapshot.rows[row] < min(y[:5]) < max(y[:5]) < snapshot.rows[row + 1]


def test_each_picture_is_drawn_below_the_heat_of_its_time(looked, seen):
    shades = [np.full((14, 19, 3), 30 * n, np.uint8) for n in range(8)]
    pictures = Pictures(list(range(8)), shades, (192, 144))
    figure = attention_over_clip(looked.run, looked.index, seen, pictures)
    assert len(figure.layout.images) == 8 * 6
    assert isinstance(figure, go.Figure)


def test_the_default_clip_is_the_held_out_correct_prediction_with_most_confidence(looked):
    clip_id, why = choose_clip(looked.run)
    table = looked.run.predictions().set_index("clip_id")
    sure = table[[f"p{n}" for n in range(32)]].max(axis=1)
    row = table.loc[clip_id]
    assert row.split != "train" and row.predicted == row.label
    assert sure[clip_id] == sure[(table.split != "train") & (table.predicted == table.label)].max()
    assert clip_id in why and f"{sure[clip_id]:.2f}" in why
    assert choose_clip(looked.run, "0001_0")[1] == "clip 0001_0 of train, as requested"


def test_what_has_no_attention_is_refused_in_a_sentence(looked, monkeypatch, clip_id):
    with pytest.raises(RunError, match="no prediction of clip '9999_1'"):
        choose_clip(looked.run, "9999_1")
    with pytest.raises(RunError, match="clip '9999_1' is not in the run's data"):
        views.one_clip(looked, "9999_1")
    given = looked.settings.model_dump() | {"fusion": "late", "memory": False, "epochs": 1}
    late = type(looked.settings).from_arguments(given | {"name": "looked-late"})
    train_gesture(late, looked.data)
    opened = open_gesture_run("looked-late", AttentionSettings())
    with pytest.raises(RunError, match="fusion 'late' has no attention"):
        views.load_attentive(opened)
    monkeypatch.delitem(looked.data.rgb, clip_id)
    with pytest.raises(RunError, match="has no rgb tokens"):
        views.one_clip(looked, clip_id)
