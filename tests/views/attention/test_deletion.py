"""The deletion test masks the requested tokens, and finds the tokens that matter."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from imigue_lab.data.skeletons.geometry import crop_places
from imigue_lab.data.synthetic import features as clip_features
from imigue_lab.data.synthetic.recording import HEIGHT, PLACE, WIDTH, act, quarter, to_pixels
from imigue_lab.data.synthetic.story import MOVERS, PICTURE_ALONE, SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import RunError
from imigue_lab.results.open import open_gesture_run
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.statistics import resampled_means
from imigue_lab.views.attention import maps as views
from imigue_lab.views.attention.deletion import (
    LEAST,
    MOST,
    RANDOM,
    SHARES,
    conclusion,
    delete_tokens,
    deletion_curves,
    deletion_masks,
    deletion_means,
    faithfulness,
    probabilities_when,
)
from imigue_lab.views.attention.maps import AttentionSettings
from tests.views.texts import text_of

SPEC = SyntheticSpec(videos=32, pictures=False)


@pytest.fixture(scope="module")
def system(looked):
    return views.load_attentive(looked)


@pytest.fixture(scope="module")
def attention(looked, system):
    return views.read_attention(looked, system, "0030_3")


def test_the_most_attended_tokens_are_masked_first_and_all_orders_mask_as_many(attention):
    rgb, pose, copies = deletion_masks(attention, 2, np.random.default_rng(0))
    places, joints = attention.on_places().ravel(), attention.on_joints().ravel()
    at = copies[(copies.share == 0.1)].index
    gone = {copies.order[n]: (np.flatnonzero(~rgb[n]), np.flatnonzero(~pose[n])) for n in at}
    assert {len(g[0]) for g in gone.values()} == {13}  # a tenth of 128
    assert set(gone[MOST][0]) == set(np.argsort(-places)[:13])
    assert places[gone[LEAST][0]].max() <= np.sort(places)[12]
    valid = np.flatnonzero(~np.isnan(joints))
    best = valid[np.argsort(-joints[valid])]
    assert set(gone[MOST][1]) == set(best[: round(len(valid) / 10)])
    assert (copies.order == RANDOM).sum() == 1 + 2 * len(SHARES)


def test_masked_tokens_do_not_count(looked, system):
    """Masked tokens may have any value, and masking none gives the prediction of the whole clip."""
    batch = views.one_clip(looked, "0030_3")
    rgb, pose = np.ones((2, 128), bool), np.ones((2, batch.seen.numel()), bool)
    rgb[1, 5:40] = False
    pose[1, 3:9] = False
    predicted = probabilities_when(system, batch, rgb, pose)
    with torch.no_grad():
        assert_allclose(predicted[0], system(batch).logits.softmax(dim=1)[0], atol=1e-5)
    batch.rgb.values[:, 5:40] = 1e3  # nor do they show in the mean of their cells
    batch.tokens.view(-1, batch.tokens.shape[-1])[3:9] = -1e3
    altered = probabilities_when(system, batch, rgb[1:], pose[1:])
    assert_allclose(predicted[1], altered[0], atol=1e-5)
    assert not np.allclose(predicted[0], predicted[1], atol=1e-4)


def marked_cells(interview, gesture, scene):
    """The tokens of the synthetic map that contain the gesture's mark."""
    mask = np.zeros((8, 4, 4), bool)
    marked = quarter(gesture, gesture.mark_moment)
    length = gesture.end + 1 - gesture.start
    for time in range(8):
        frame = int((time + 0.5) * length / 8)
        spot = to_pixels(scene.drawn[gesture.start + frame][PLACE[MOVERS[gesture.mark_joint]]])
        x, y = np.floor(crop_places(spot, WIDTH, HEIGHT) * 4).astype(int)
        if frame in marked and 0 <= x < 4 and 0 <= y < 4:
            mask[time, y, x] = True
    return mask.ravel()


@pytest.fixture(scope="module")
def sharp(looked, tmp_path_factory):
    """The same interviews with tokens that encode their own place only, and a run on them."""
    root = tmp_path_factory.mktemp("sharp") / "interviews"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_features, "AROUND", 0)
        make_data(root, SPEC)
    given = looked.settings.model_dump() | {"data": str(root), "name": "sharp"}
    train_gesture(type(looked.settings).from_arguments(given))
    return open_gesture_run("sharp", AttentionSettings())


def log_odds_lost(gesture_run):
    """By hiding the mark, and by hiding as many other tokens: of each correct prediction."""
    system = views.load_attentive(gesture_run)
    clip_ids = gesture_run.index.clips.set_index(["video_id", "start"]).clip_id
    table = gesture_run.run.predictions().set_index("clip_id")
    rng = np.random.default_rng(0)
    marked, random = [], []
    for interview in plan(SPEC):
        scene = None
        for gesture in interview.gestures:
            clip_id = clip_ids[interview.video_id, gesture.start]
            if gesture.label not in PICTURE_ALONE or table.predicted[clip_id] != gesture.label:
                continue
            scene = scene or act(interview, SPEC)
            cells = marked_cells(interview, gesture, scene)
            hidden = [np.zeros(128, bool), cells]
            others = np.flatnonzero(~cells)
            for _ in range(6):
                hidden.append(np.isin(np.arange(128), rng.permutation(others)[: cells.sum()]))
            batch = views.one_clip(gesture_run, clip_id)
            pose = np.ones((8, batch.seen.numel()), bool)
            p = probabilities_when(system, batch, ~np.stack(hidden), pose)[:, gesture.label]
            log_odds = np.log(p / (1 - p.astype(float)))
            marked.append(log_odds[0] - log_odds[1])
            random.append(log_odds[0] - log_odds[2:].mean())
    assert len(marked) > 10
    return np.array(marked), np.array(random)


def test_hiding_the_mark_changes_the_score_more_than_hiding_other_tokens(looked):
    """By little: each token of these clips weakly encodes what the others show."""
    marked, random = log_odds_lost(looked)
    difference = marked - random
    assert difference.mean() > 2 * difference.std() / np.sqrt(len(difference))
    assert marked.mean() > 3 * abs(random.mean())


def test_with_tokens_of_their_own_place_only_the_change_is_far_larger(sharp):
    marked, random = log_odds_lost(sharp)
    difference = marked - random
    assert difference.mean() > 3 * difference.std() / np.sqrt(len(difference))
    assert marked.mean() > 3 * abs(random.mean())


def synthetic_table(fall):
    """Four clips of two videos; at random nothing changes, the most attended fall by `fall`."""
    rows = []
    for clip, video in (("a", "v"), ("b", "v"), ("c", "w"), ("d", "w")):
        for share in (0.0, *SHARES):
            for order, down in ((MOST, fall[video]), (RANDOM, 0.0), (LEAST, 0.0)):
                rows.append((clip, video, order, share, 0.8 - down * (share > 0)))
    table = pd.DataFrame(rows, columns=["clip_id", "video_id", "order", "share", "probability"])
    return table.assign(subject=table.video_id)


def test_faithfulness_gives_the_difference_and_its_interval():
    found = faithfulness(synthetic_table({"v": 0.2, "w": 0.4}))
    assert found["difference"] == pytest.approx(0.3)
    assert (found["low"], found["high"]) == (pytest.approx(0.2), pytest.approx(0.4))
    assert (found["clips"], found["clusters"], found["unit"]) == (4, 2, "videos")
    one = synthetic_table({"v": 0.2, "w": 0.4}).assign(subject="s")
    assert faithfulness(one)["clusters"] == 1 and np.isnan(faithfulness(one)["low"])
    assert conclusion(faithfulness(one)).startswith("not shown")
    assert conclusion(found).startswith("yes, more than on random tokens")
    assert conclusion(faithfulness(synthetic_table({"v": 0.2, "w": -0.2}))).startswith("not shown")
    assert conclusion(faithfulness(synthetic_table({"v": -0.2, "w": -0.3}))).startswith(
        "no: random"
    )


def test_the_interval_of_few_clusters_is_that_of_every_score():
    few = pd.concat(
        synthetic_table({"v": fall, "w": fall + 0.1}).assign(
            video_id=f"v{n}", clip_id=lambda table, n=n: table.clip_id + str(n), subject=f"s{n}"
        )
        for n, fall in enumerate((0.0, 0.1, 0.2, 0.3, 0.5))
    )
    found = faithfulness(few)
    gain = np.repeat([0.0, 0.1, 0.2, 0.3, 0.5], 4) + np.tile([0, 0, 0.1, 0.1], 5)
    raw = np.quantile(resampled_means(gain, np.repeat(np.arange(5), 4), 0), [0.025, 0.975])
    assert (found["clusters"], found["unit"]) == (5, "subjects")
    assert found["low"] < raw[0] and raw[1] < found["high"]


def test_curves_are_means_over_clips_with_draws_of_whole_videos(looked):
    table = synthetic_table({"v": 0.2, "w": 0.4})
    curves = deletion_means(table).set_index(["order", "share"])
    assert curves.probability[MOST, 0.4] == pytest.approx(0.5)
    assert (curves.low[MOST, 0.4], curves.high[MOST, 0.4]) == (
        pytest.approx(0.4),
        pytest.approx(0.6),
    )
    figure = deletion_curves(looked.run, table)
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert_allclose(lines[MOST].y, [0.8] + [0.5] * len(SHARES))
    assert_allclose(lines[MOST].x, [0, *(100 * share for share in SHARES)])
    assert "+0.300 (+0.200 to +0.400)" in text_of(figure)


def test_clips_of_one_modality_are_left_out_and_none_at_all_is_refused(looked, system, monkeypatch):
    monkeypatch.delitem(looked.data.rgb, "0030_2")
    table = delete_tokens(looked, system, ["0030_2", "0030_3"], draws=1)
    assert set(table.clip_id) == {"0030_3"}
    whole = table[table.share == 0]
    assert whole.probability.nunique() == 1
    assert table.groupby(["order", "share"]).size().eq(1).all()
    with pytest.raises(RunError, match="none of the clips has both modalities"):
        delete_tokens(looked, system, ["0030_2"])
