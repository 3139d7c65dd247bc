"""The bank: the four rules of writing, reading, class means, and that it survives a restart."""

import pytest
import torch
from torch.testing import assert_close

from imigue_lab.errors import DataError, RunError
from imigue_lab.models.bank import Bank, clip_code

SURE = 5.0  # logit of the predicted class


def confident(label, p, classes=3):
    """Logits whose softmax gives `label` the probability p, the others an equal share."""
    logits = torch.zeros(classes)
    logits[label] = torch.logit(torch.tensor(p)) + torch.log(torch.tensor(classes - 1.0))
    return logits


def write(bank, *clips):
    """Each clip: id, feature, true class, p of class `predicted` (the true one if not said)."""
    ids, features, labels, logits = [], [], [], []
    for clip_id, feature, label, p, *predicted in clips:
        ids.append(clip_id)
        features.append(torch.tensor(feature))
        labels.append(label)
        logits.append(confident(predicted[0] if predicted else label, p))
    return bank.write(torch.stack(features), torch.stack(logits), torch.tensor(labels), ids)


def names(bank, *ids):
    return [[i for i in row if i] for row in bank.source_ids(ids)]


def test_only_correct_and_confident_predictions_are_stored():
    bank = Bank(3, 2, 2)
    rules = write(
        bank,
        ("right", [1.0, 0.0], 0, 0.9),
        ("unsure", [1.0, 0.0], 1, 0.45),
        ("wrong", [1.0, 0.0], 1, 0.9, 2),
    )
    assert rules == {"right": "free"}
    assert names(bank, "right") == [["right"], [], []]


def test_a_clips_own_entry_is_updated_by_momentum():
    bank = Bank(3, 2, 2)
    write(bank, ("a", [1.0, 0.0], 0, 0.8))
    assert write(bank, ("a", [0.0, 2.0], 0, 0.6)) == {"a": "own"}
    assert_close(bank.entries[0, 0], torch.tensor([0.9, 0.2]))
    assert_close(bank.confidence[0, 0], torch.tensor(0.9 * 0.8 + 0.1 * 0.6))
    assert names(bank, "a")[0] == ["a"]


def test_a_free_slot_comes_before_a_near_entry():
    bank = Bank(3, 2, 2)
    rules = write(bank, ("a", [1.0, 0.0], 0, 0.8), ("b", [1.0, 0.0], 0, 0.7))
    assert rules == {"a": "free", "b": "free"}
    assert names(bank, "a", "b")[0] == ["a", "b"]
    assert_close(bank.confidence[0], torch.tensor([0.8, 0.7]))


def test_in_a_full_class_a_near_entry_is_updated_and_keeps_its_source():
    bank = Bank(3, 2, 2)
    write(bank, ("a", [1.0, 0.0], 0, 0.8), ("b", [0.0, 1.0], 0, 0.7))
    assert write(bank, ("c", [0.1, 1.0], 0, 0.9)) == {"c": "near"}
    assert_close(bank.entries[0], torch.tensor([[1.0, 0.0], [0.01, 1.0]]))
    assert_close(bank.confidence[0], torch.tensor([0.8, 0.9 * 0.7 + 0.1 * 0.9]))
    assert names(bank, "a", "b", "c")[0] == ["a", "b"]


def test_in_a_full_class_the_least_confident_entry_is_replaced_by_a_more_confident_clip():
    bank = Bank(3, 2, 2)
    write(bank, ("a", [1.0, 0.0], 0, 0.8), ("b", [0.0, 1.0], 0, 0.7))
    assert write(bank, ("c", [-1.0, -1.0], 0, 0.65)) == {"c": "kept out"}
    assert names(bank, "a", "b")[0] == ["a", "b"]
    assert write(bank, ("d", [-1.0, -1.0], 0, 0.75)) == {"d": "weakest"}
    assert names(bank, "a", "b", "d")[0] == ["a", "d"]
    assert_close(bank.entries[0, 1], torch.tensor([-1.0, -1.0]))
    assert_close(bank.confidence[0, 1], torch.tensor(0.75))


def test_clips_are_written_in_the_order_of_their_ids():
    clips = [("c", [1.0, 0.0], 0, 0.9), ("a", [0.0, 1.0], 0, 0.8), ("b", [-1.0, 0.0], 0, 0.7)]
    one, other = Bank(3, 2, 2), Bank(3, 2, 2)
    assert write(one, *clips) == write(other, *clips[::-1])
    assert names(one, "a", "b", "c") == names(other, "a", "b", "c")
    assert_close(one.entries, other.entries)
    assert names(one, "a", "b", "c")[0] == ["a", "c"]  # c is surer than b, which came before


def test_a_clip_that_is_twice_in_a_batch_has_one_entry():
    bank = Bank(3, 2, 2)
    write(bank, ("a", [1.0, 0.0], 0, 0.8), ("a", [1.0, 0.0], 0, 0.8))
    assert names(bank, "a")[0] == ["a"]


def test_a_class_with_n_clips_has_n_entries_up_to_its_size():
    """No collapse onto a few: near copies get slots of their own while there are any."""
    bank = Bank(3, 4, 8)
    base = torch.randn(8, generator=torch.Generator().manual_seed(0))
    ids = [f"{number:03d}" for number in range(10)]
    for epoch in range(3):
        for label, clips in ((0, ids[:1]), (1, ids[1:4]), (2, ids[4:])):
            for number, clip_id in enumerate(clips):
                feature = (base + 0.01 * number + epoch).tolist()
                write(bank, (clip_id, feature, label, 0.9))
    assert bank.filled.sum(dim=1).tolist() == [1, 3, 4]
    held = names(bank, *ids)
    assert held[0] == ids[:1] and held[1] == ids[1:4] and set(held[2]) <= set(ids[4:])


def test_age_counts_the_writes_since_an_entry_changed():
    bank = Bank(3, 2, 2)
    write(bank, ("a", [1.0, 0.0], 0, 0.8), ("b", [0.0, 1.0], 0, 0.8))
    write(bank, ("a", [1.0, 0.0], 0, 0.8))
    write(bank, ("c", [1.0, 0.0], 1, 0.3))
    assert bank.age.tolist() == [[1, 2], [0, 0], [0, 0]]


@pytest.fixture
def full():
    """Class 0 with three entries at 0°, 30° and 90°, class 1 with one; of four slots each."""
    bank = Bank(3, 4, 2)
    write(
        bank,
        ("a", [2.0, 0.0], 0, 0.9),
        ("b", [3**0.5, 1.0], 0, 0.9),
        ("c", [0.0, 5.0], 0, 0.9),
        ("d", [1.0, 1.0], 1, 0.9),
    )
    return bank


def test_reading_gives_the_nearest_entries_by_cosine(full):
    found = full.read(torch.tensor([[7.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 1]), top_k=2)
    assert found.slot[0].tolist() == [0, 1]
    assert_close(found.cosine[0], torch.tensor([1.0, 3**0.5 / 2]))
    assert_close(found.entries[0], torch.tensor([[2.0, 0.0], [3**0.5, 1.0]]))
    assert found.valid.tolist() == [[True, True], [True, False]]
    assert found.cosine[1, 1] == -torch.inf


def test_a_clip_with_an_id_never_reads_its_own_entry(full):
    f, label = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    assert full.read(f, label, 4, ["a"]).slot[0, :2].tolist() == [1, 2]
    assert full.read(f, label, 4, ["a"]).valid.tolist() == [[True, True, False, False]]
    assert full.read(f, label, 4, ["x"]).valid.sum() == 3
    assert not full.read(f, torch.tensor([1]), 4, ["d"]).valid.any()


def test_class_means_exclude_the_clips_own_entry(full):
    means, known = full.class_means(2, ["a", "d"])
    assert known.tolist() == [[True, True, False], [True, False, False]]
    assert_close(means[0, 0], torch.tensor([3**0.5 / 2, 3.0]))
    assert_close(means[1, 0], torch.tensor([(2 + 3**0.5) / 3, 2.0]))
    assert_close(means[0, 1], torch.tensor([1.0, 1.0]))
    assert_close(full.class_means(1)[0][0, 0], torch.tensor([(2 + 3**0.5) / 3, 2.0]))


def test_the_state_dict_is_complete(full):
    other = Bank(3, 4, 2)
    other.load_state_dict(full.state_dict())
    for bank in (full, other):
        write(bank, ("e", [1.0, 2.0], 0, 0.9), ("a", [1.0, 2.0], 0, 0.9), ("f", [0.0, 1.0], 0, 0.6))
    for name, kept in full.state_dict().items():
        assert_close(other.state_dict()[name], kept)
    assert set(full.state_dict()) == {"entries", "confidence", "age", "source"}


def test_sources_are_resolved_to_ids_and_unknown_ones_refused(full):
    assert full.source_ids(["d", "c", "b", "a"])[0] == ["a", "b", "c", ""]
    with pytest.raises(DataError, match="not among the given ids"):
        full.source_ids(["a"])
    assert clip_code("0054_17") == clip_code("0054_17") != clip_code("0054_18")
    assert 0 <= clip_code("0054_17") < 2**63


def test_a_bank_of_another_width_is_refused(full):
    with pytest.raises(RunError, match=r"bank is 3 x 4 x 2 .* this model's 3 x 4 x 5"):
        Bank(3, 4, 5).load_state_dict(full.state_dict())
    with pytest.raises(RunError, match="width 2, these features 5"):
        full.write(torch.zeros(1, 5), torch.zeros(1, 3), torch.tensor([0]), ["a"])


def test_nothing_is_written_by_reading(full):
    before = {name: kept.clone() for name, kept in full.state_dict().items()}
    full.read(torch.randn(2, 2), torch.tensor([0, 2]), 3, ["a", "b"])
    full.class_means(2, ["a", "b"])
    for name, kept in full.state_dict().items():
        assert_close(before[name], kept)
