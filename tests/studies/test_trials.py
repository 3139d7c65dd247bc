"""A study survives its workers: lost tickets are requeued, and each is processed once."""

import sys
import time
import warnings

import pytest

from benchmarks.null_ablation import null_table
from benchmarks.study_workers import share
from imigue_lab.errors import RunError
from imigue_lab.studies import trials as studies
from imigue_lab.studies.trials import AblationSettings, open_study, tickets, url_of, work


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(studies, "HEARTBEAT_S", 1)
    monkeypatch.setattr(studies, "GRACE_S", 1)


def test_the_ticket_of_a_worker_without_heartbeat_is_requeued(hasty):
    study = open_study("silent")
    study.enqueue_trial({}, user_attrs={"cell": "lost"}, skip_if_exists=False)
    with warnings.catch_warnings(action="ignore"):  # it asks to leave this to `optimize`
        lost = study.ask()
    study._storage.record_heartbeat(lost._trial_id)  # and then the worker was killed
    done = []

    def do(trial):
        done.append(trial.user_attrs["cell"])
        return 1.0

    started = time.monotonic()
    work(study, do)
    assert done == ["lost"]
    assert time.monotonic() - started > 1
    assert len(tickets(study, "FAIL")) == len(tickets(study, "COMPLETE")) == 1


def test_the_ticket_of_a_live_worker_is_not_requeued(hasty, monkeypatch):
    monkeypatch.setattr(studies, "GRACE_S", 3)
    study = open_study("living")
    study.enqueue_trial({}, skip_if_exists=False)

    def last_longer_than_the_grace(_):
        time.sleep(4.5)
        studies.requeue_lost(study)
        return 1.0

    work(study, last_longer_than_the_grace)
    assert len(tickets(study, "COMPLETE")) == 1 and not tickets(study, "FAIL")


def test_an_interrupted_kernel_releases_its_ticket_at_once():
    study = open_study("interrupted")
    study.enqueue_trial({}, skip_if_exists=False)

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(study, interrupt)
    assert not tickets(study, "RUNNING") and len(tickets(study, "FAIL")) == 1


def test_workers_share_a_grid_and_one_of_them_is_killed(synthetic):
    settings = AblationSettings(
        data=str(synthetic), given="epochs:30 lr:1e-3", variants="late,bce", seeds=2, seed=90
    )
    found = share(settings, workers=2, kills=1, timeout_s=120)
    assert found["cells"] == found["finished"] == found["folders"] == 6
    assert found["retried"] >= 1
    assert found["trials"]["RUNNING"] == found["trials"]["WAITING"] == 0


def test_no_variant_is_significant_on_data_without_signal():
    table = null_table(sets=3, videos=60, given="epochs:3 lr:1e-3 width:8 heads:2")
    assert len(table) == 5 and table.seeds.eq(3).all()
    assert (table.p_holm.dropna() > 0.05).all()


def test_postgresql_urls_use_psycopg_3():
    assert url_of("x", "postgresql://u:p@host/db") == "postgresql+psycopg://u:p@host/db"
    assert url_of("x", "postgresql+psycopg://host/db") == "postgresql+psycopg://host/db"
    assert url_of("x", "").endswith("/studies/x.db")


def test_a_missing_driver_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(RunError, match=r"pip install 'imigue_lab.postgresql.'"):
        open_study("x", "postgresql://user@127.0.0.1/db")


def test_storage_errors_hide_the_password(tmp_path):
    with pytest.raises(RunError, match=r"storage: sqlite://me:\*\*\*@.* cannot be") as caught:
        open_study("x", f"sqlite://me:secret@{tmp_path}/x.db")
    assert "secret" not in str(caught.value)
