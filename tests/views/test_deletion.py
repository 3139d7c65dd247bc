"""Taking tokens away: what is masked is what was asked for, and what a decision rests on shows."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from imigue_lab.data.skeletons.cropping import crop_places
from imigue_lab.data.synthetic import features as clip_features
from imigue_lab.data.synthetic.body import PLACE, quarter
from imigue_lab.data.synthetic.recording import HEIGHT, WIDTH, act, to_pixels
from imigue_lab.data.synthetic.story import MOVERS, PICTURE_ALONE, SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import RunError
from imigue_lab.results.open import open_gesture_run
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.views.attention import maps as views
from imigue_lab.views.attention.deletion import (
    LEAST,
    MOST,
    RANDOM,
    SHARES,
    delete,
    deletion_curves,
    faithfulness,
    mean_curves,
    probabilities_when,
    verdict,
    ways,
)
from imigue_lab.views.attention.maps import AttentionSettings

SPEC = SyntheticSpec(videos=32, pictures=False)


@pytest.fixture(scope="module")
def system(looked):
    return views.load_attentive(looked)


@pytest.fixture(scope="module")
def attention(looked, system):
    return views.read_attention(looked, system, "0030_3")


def test_the_most_attended_tokens_go_first_and_all_ways_take_as_many(attention):
    rgb, pose, told = ways(attention, "spatial", 2, np.random.default_rng(0))
    places, joints = attention.on_places("spatial").ravel(), attention.on_joints("spatial").ravel()
    at = told[(told.share == 0.1)].index
    gone = {told.taken[n]: (np.flatnonzero(~rgb[n]), np.flatnonzero(~pose[n])) for n in at}
    assert {len(g[0]) for g in gone.values()} == {13}  # a tenth of 128
    assert set(gone[MOST][0]) == set(np.argsort(-places)[:13])
    assert places[gone[LEAST][0]].max() <= np.sort(places)[12]
    valid = np.flatnonzero(~np.isnan(joints))
    best = valid[np.argsort(-joints[valid])]
    assert set(gone[MOST][1]) == set(best[: round(len(valid) / 10)])
    assert (told.taken == RANDOM).sum() == 1 + 2 * len(SHARES)


def test_what_is_masked_counts_no_more(looked, system):
    """Masked tokens may hold anything, and nothing masked is what the model says of the clip."""
    batch = views.one_clip(looked, "0030_3")
    rgb, pose = np.ones((2, 128), bool), np.ones((2, batch.seen.numel()), bool)
    rgb[1, 5:40] = False
    pose[1, 3:9] = False
    said = probabilities_when(system, batch, rgb, pose)
    with torch.no_grad():
        assert_allclose(said[0], system(batch).logits.softmax(dim=1)[0], atol=1e-5)
    batch.rgb.values[:, 5:40] = 1e3  # nor do they show in what rests of their cells
    batch.tokens.view(-1, batch.tokens.shape[-1])[3:9] = -1e3
    spoilt = probabilities_when(system, batch, rgb[1:], pose[1:])
    assert_allclose(said[1], spoilt[0], atol=1e-5)
    assert not np.allclose(said[0], said[1], atol=1e-4)


def planted_cells(interview, gesture, scene):
    """The tokens of the synthetic map that hold the gesture's mark."""
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
    """The same interviews, but that a token knows of its own place alone, and a run on them."""
    root = tmp_path_factory.mktemp("sharp") / "interviews"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_features, "AROUND", 0)
        make_data(root, SPEC)
    given = looked.settings.model_dump() | {"data": str(root), "name": "sharp"}
    train_gesture(type(looked.settings).from_arguments(given))
    return open_gesture_run("sharp", AttentionSettings())


def log_odds_lost(gesture_run):
    """By hiding the planted mark, and by hiding as many other tokens: of each clip told right."""
    system = views.load_attentive(gesture_run)
    clip_ids = gesture_run.index.clips.set_index(["video_id", "start"]).clip_id
    table = gesture_run.run.predictions().set_index("clip_id")
    rng = np.random.default_rng(0)
    planted, random = [], []
    for interview in plan(SPEC):
        scene = None
        for gesture in interview.gestures:
            clip_id = clip_ids[interview.video_id, gesture.start]
            if gesture.label not in PICTURE_ALONE or table.predicted[clip_id] != gesture.label:
                continue
            scene = scene or act(interview, SPEC)
            cells = planted_cells(interview, gesture, scene)
            hidden = [np.zeros(128, bool), cells]
            others = np.flatnonzero(~cells)
            for _ in range(6):
                hidden.append(np.isin(np.arange(128), rng.permutation(others)[: cells.sum()]))
            batch = views.one_clip(gesture_run, clip_id)
            pose = np.ones((8, batch.seen.numel()), bool)
            p = probabilities_when(system, batch, ~np.stack(hidden), pose)[:, gesture.label]
            told = np.log(p / (1 - p.astype(float)))
            planted.append(told[0] - told[1])
            random.append(told[0] - told[2:].mean())
    assert len(planted) > 10
    return np.array(planted), np.array(random)


def test_hiding_what_was_planted_changes_the_score_more_than_hiding_anything_else(looked):
    """By little: each token of this set knows faintly what any other of its clip sees."""
    planted, random = log_odds_lost(looked)
    difference = planted - random
    assert difference.mean() > 2 * difference.std() / np.sqrt(len(difference))
    assert planted.mean() > 3 * abs(random.mean())


def test_where_tokens_know_of_their_own_place_alone_it_is_far_more(sharp):
    planted, random = log_odds_lost(sharp)
    difference = planted - random
    assert difference.mean() > 3 * difference.std() / np.sqrt(len(difference))
    assert planted.mean() > 3 * abs(random.mean())


def made_table(fall):
    """Four clips of two videos; at random nothing changes, the most attended fall by `fall`."""
    rows = []
    for clip, video in (("a", "v"), ("b", "v"), ("c", "w"), ("d", "w")):
        for share in (0.0, *SHARES):
            for taken, down in ((MOST, fall[video]), (RANDOM, 0.0), (LEAST, 0.0)):
                rows.append((clip, video, taken, share, 0.8 - down * (share > 0)))
    return pd.DataFrame(rows, columns=["clip_id", "video_id", "taken", "share", "probability"])


def test_the_test_says_by_how_much_and_whether_it_could_be_chance():
    found = faithfulness(made_table({"v": 0.2, "w": 0.4}))
    assert found["difference"] == pytest.approx(0.3)
    assert (found["low"], found["high"]) == (pytest.approx(0.2), pytest.approx(0.4))
    assert (found["clips"], found["videos"]) == (4, 2)
    assert verdict(found).startswith("yes, more than on random tokens")
    assert verdict(faithfulness(made_table({"v": 0.2, "w": -0.2}))).startswith("not shown")
    assert verdict(faithfulness(made_table({"v": -0.2, "w": -0.3}))).startswith("no: random")


def test_curves_are_means_over_clips_with_draws_of_whole_videos(looked):
    table = made_table({"v": 0.2, "w": 0.4})
    curves = mean_curves(table).set_index(["taken", "share"])
    assert curves.probability[MOST, 0.4] == pytest.approx(0.5)
    assert (curves.low[MOST, 0.4], curves.high[MOST, 0.4]) == (
        pytest.approx(0.4),
        pytest.approx(0.6),
    )
    figure = deletion_curves(looked.run, table)
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert_allclose(lines[MOST].y, [0.8] + [0.5] * len(SHARES))
    assert_allclose(lines[MOST].x, [0, *(100 * share for share in SHARES)])
    assert "+0.300 (+0.200 to +0.400)" in figure.layout.title.text


def test_clips_of_one_modality_are_left_out_and_none_at_all_is_refused(looked, system, monkeypatch):
    monkeypatch.delitem(looked.data.rgb, "0030_2")
    table = delete(looked, system, ["0030_2", "0030_3"], draws=1)
    assert set(table.clip_id) == {"0030_3"}
    whole = table[table.share == 0]
    assert whole.probability.nunique() == 1
    assert table.groupby(["taken", "share"]).size().eq(1).all()
    with pytest.raises(RunError, match="none of the clips has both modalities"):
        delete(looked, system, ["0030_2"])
