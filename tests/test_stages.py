from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fpgaflow.errors import BadInput, CheckFailed
from fpgaflow.stages import STATE, Outcome, Stages, code_digest, digest, file_digest, locked

FAILURE = CheckFailed("two sums", "differ", "Add again")


class Work:
    """A stage's work that counts its runs and writes one file."""

    def __init__(self, folder: Path, text: str = "made", failure: CheckFailed | None = None) -> None:
        self.folder, self.text, self.failure, self.runs = folder, text, failure, 0

    def __call__(self) -> Outcome:
        self.runs += 1
        (self.folder / "file").write_text(self.text)
        return Outcome({"length": len(self.text)}, ("file",), self.failure)


def stages(folder: Path) -> Stages:
    return Stages(folder, lambda *_: None)


def log_of(folder: Path, work: Callable[[], Outcome], **depends: object) -> dict[str, object]:
    run = stages(folder)
    run.run("stage", depends, work)
    return run.log[0]


def test_unchanged_stage_is_skipped_with_its_facts_and_digest(tmp_path: Path) -> None:
    work = Work(tmp_path)
    first, second = stages(tmp_path), stages(tmp_path)
    assert first.run("stage", {"a": 1}, work) == second.run("stage", {"a": 1}, work) == {"length": 4}
    assert first.facts == second.facts == {"stage": {"length": 4}}
    assert work.runs == 1
    (done,), (skipped,) = first.log, second.log
    assert (done["status"], skipped["status"]) == ("done", "skipped")
    assert done["digest"] == skipped["digest"] and done["seconds"] == skipped["seconds"]


@pytest.mark.parametrize("change", ["depends", "file", "file gone", "record gone", "record damaged", "record half"])
def test_changed_stage_runs_again(tmp_path: Path, change: str) -> None:
    work = Work(tmp_path)
    before = log_of(tmp_path, work, a=1)
    record = tmp_path / STATE / "stage.json"
    if change == "file":
        (tmp_path / "file").write_text("other")
    elif change == "file gone":
        (tmp_path / "file").unlink()
    elif change == "record gone":
        record.unlink()
    elif change == "record damaged":
        record.write_text("[1]")
    elif change == "record half":
        record.write_bytes(record.read_bytes()[:50])
    after = log_of(tmp_path, work, a=2 if change == "depends" else 1)
    assert work.runs == 2 and after["status"] == "done"
    assert (after["digest"] == before["digest"]) == (change != "depends")


def test_digest_covers_facts_and_files(tmp_path: Path) -> None:
    made = {text: log_of(tmp_path, Work(tmp_path, text), text=0)["digest"] for text in ("made", "else")}
    assert made["made"] == made["else"], "the second was skipped"
    (tmp_path / STATE / "stage.json").unlink()
    assert log_of(tmp_path, Work(tmp_path, "else"), text=0)["digest"] != made["made"]


def test_failed_work_leaves_no_record(tmp_path: Path) -> None:
    log_of(tmp_path, Work(tmp_path), a=1)

    def broken() -> Outcome:
        raise FAILURE

    run = stages(tmp_path)
    with pytest.raises(CheckFailed):
        run.run("stage", {"a": 2}, broken)
    assert run.log[0]["status"] == "failed" and run.log[0]["digest"] is None and run.facts == {}
    assert log_of(tmp_path, Work(tmp_path), a=1)["status"] == "done", "the record of before was of other contents"


def test_failed_check_keeps_its_facts_and_runs_again(tmp_path: Path) -> None:
    work = Work(tmp_path, failure=FAILURE)
    for runs in (1, 2):
        run = stages(tmp_path)
        with pytest.raises(CheckFailed):
            run.run("stage", {}, work)
        assert run.log[0]["status"] == "failed" and run.facts == {"stage": {"length": 4}}
        assert work.runs == runs


def test_interrupted_work_leaves_no_record(tmp_path: Path) -> None:
    def interrupted() -> Outcome:
        raise KeyboardInterrupt

    log_of(tmp_path, Work(tmp_path), a=1)
    with pytest.raises(KeyboardInterrupt):
        log_of(tmp_path, interrupted, a=2)
    assert not (tmp_path / STATE / "stage.json").exists()


def test_notify_tells_stages_that_run(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        run = Stages(tmp_path, lambda name, detail: told.append(name))
        run.run("stage", {}, Work(tmp_path))
    assert told == ["stage"]


def test_lock_excludes_a_second_holder_and_is_given_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "build"
    with locked(folder):
        with pytest.raises(BadInput, match="another build is at work there"), locked(folder):
            pass
        with locked(tmp_path / "other"):
            pass
    with pytest.raises(CheckFailed), locked(folder):
        raise FAILURE
    with locked(folder):
        pass


@pytest.mark.parametrize("place", ["a file", "below a file", "no file system for it"])
def test_lock_of_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    folder = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "x"}.get(place, Path("/proc/fpgaflow"))
    with pytest.raises(BadInput, match="cannot be written"), locked(folder):
        pass


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "abc").write_text("abc")
    assert file_digest(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")  # FIPS 180-2, appendix B.1
    assert digest({"b": 1, "a": [1.5, None]}) == digest(json.loads('{"a": [1.5, null], "b": 1}'))
    assert digest({"a": 1}) != digest({"a": "1"})
    assert len(code_digest()) == 64
