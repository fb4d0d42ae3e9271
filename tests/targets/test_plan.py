from __future__ import annotations

import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fpgaflow.errors import BadInput
from fpgaflow.targets.plan import BuildPlan, Command, archive, finish_command, script, write

COMMAND = Command(
    name="csynth", argv=("vitis_hls", "-f", "build.tcl"), tool="vitis_hls", log="logs/hls.log", outputs=("out/ip.xml",)
)
PLAN = BuildPlan({"build.tcl": "exit\n", "firmware/weights.bin": b"\x00\xff"}, (COMMAND,))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_digest_depends_on_content_alone() -> None:
    reordered = dict(reversed(PLAN.files.items()))
    assert BuildPlan(reordered, PLAN.commands).digest == PLAN.digest
    assert BuildPlan({**PLAN.files, "build.tcl": b"exit\n"}, PLAN.commands).digest == PLAN.digest
    # Fixed, so that a change of the encoding, which would make every build run again, is noticed.
    assert PLAN.digest == "9d198e4c7e6333e22747a55b031a437bd4280af16bed7b59afba6d12dfa6d476"


@pytest.mark.parametrize(
    "other",
    [
        BuildPlan({**PLAN.files, "build.tcl": "exit 1\n"}, PLAN.commands),
        BuildPlan({**PLAN.files, "more": ""}, PLAN.commands),
        BuildPlan(PLAN.files, ()),
        BuildPlan(PLAN.files, (replace(COMMAND, argv=("vitis_hls", "-f build.tcl")),)),
        BuildPlan(PLAN.files, (replace(COMMAND, timeout_s=1.0),)),
        BuildPlan(PLAN.files, (replace(COMMAND, outputs=()),)),
    ],
)
def test_digest_sees_every_change(other: BuildPlan) -> None:
    assert other.digest != PLAN.digest


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../up", "a/../b", "a//b", "./a", "", ".", "a\\b", "a\nb", "a\0b", "a/"]
)
def test_paths_outside_the_folder_are_refused(path: str) -> None:
    with pytest.raises(BadInput, match="build plan path"):
        BuildPlan({path: ""}, ())
    for field in ({"outputs": (path,)}, {"log": path}, {"cwd": path}):
        if field != {"cwd": "."}:
            with pytest.raises(BadInput, match="build plan path"):
                BuildPlan({}, (replace(COMMAND, **field),))


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({"build.sh": ""}, ()),
        ({"a": "", "a/b": ""}, ()),
        ({"out/ip.xml": ""}, (COMMAND,)),
        ({"logs": ""}, (COMMAND,)),
        ({}, (COMMAND, replace(COMMAND, outputs=(), log="other.log"))),
        ({}, (COMMAND, replace(COMMAND, name="other", log="other.log"))),
    ],
)
def test_claimed_twice(files: dict[str, str], commands: tuple[Command, ...]) -> None:
    with pytest.raises(BadInput, match="claimed twice"):
        BuildPlan(files, commands)


def test_write_touches_only_what_changed(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    write(PLAN, tmp_path)
    assert snapshot(tmp_path) == {
        "mine.txt": b"kept",
        "build.tcl": b"exit\n",
        "firmware/weights.bin": b"\x00\xff",
        "build.sh": script(PLAN).encode(),
    }
    old = 1_000_000_000_000_000_000
    for path in tmp_path.rglob("*"):
        os.utime(path, ns=(old, old))
    changed = BuildPlan({**PLAN.files, "build.tcl": "exit 1\n"}, PLAN.commands)
    write(changed, tmp_path)
    fresh = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mtime_ns != old}
    assert fresh == {"build.tcl", "build.sh"}
    assert snapshot(tmp_path)["build.tcl"] == b"exit 1\n"


def test_write_does_not_follow_links_outside(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "plan"
    outside.mkdir()
    folder.mkdir()
    (folder / "firmware").symlink_to(outside)
    with pytest.raises(BadInput, match="through a link"):
        write(PLAN, folder)
    assert list(outside.iterdir()) == []


def test_write_replaces_a_linked_file_and_not_its_target(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    folder = tmp_path / "plan"
    folder.mkdir()
    (folder / "build.tcl").symlink_to(target)
    write(PLAN, folder)
    assert target.read_text() == "kept"
    assert (folder / "build.tcl").read_text() == "exit\n"


def test_write_says_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "firmware").write_text("a file where the plan needs a folder")
    with pytest.raises(BadInput, match=r"weights\.bin: cannot be written"):
        write(PLAN, tmp_path)


def test_archive_is_reproducible(tmp_path: Path) -> None:
    archive(PLAN, tmp_path / "a.zip")
    archive(BuildPlan(dict(reversed(PLAN.files.items())), PLAN.commands), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as bundle:
        assert bundle.namelist() == ["build.sh", "build.tcl", "firmware/weights.bin"]
        assert {entry.date_time for entry in bundle.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        bundle.extractall(tmp_path / "unpacked")
    write(PLAN, tmp_path / "written")
    assert snapshot(tmp_path / "unpacked") == snapshot(tmp_path / "written")


def run_script(plan: BuildPlan, folder: Path, tool: str | None) -> subprocess.CompletedProcess[str]:
    """Writes the plan into a folder with an awkward name, and runs its script with a stand-in for vitis_hls."""
    tools = folder / "tools"
    tools.mkdir(parents=True)
    if tool is not None:
        (tools / "vitis_hls").write_text(f"#!/bin/sh\n{tool}\n")
        (tools / "vitis_hls").chmod(0o755)
    place = folder / "a plan's $HOME"
    write(plan, place)
    environment = {**os.environ, "PATH": f"{tools}:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", finish_command(place)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_script_runs_the_commands(tmp_path: Path) -> None:
    awkward = ("two words", "$HOME", "it's", "*", "")
    command = replace(COMMAND, argv=("vitis_hls", *awkward), cwd="firmware dir")
    plan = BuildPlan(PLAN.files, (command,))
    done = run_script(plan, tmp_path, 'for a in "$@"; do echo "<$a>"; done; pwd; mkdir -p ../out; : >../out/ip.xml')
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[1/1] csynth, log: logs/hls.log\n"
    place = tmp_path / "a plan's $HOME"
    assert (place / "logs/hls.log").read_text().splitlines() == [
        *(f"<{argument}>" for argument in awkward),
        str(place / "firmware dir"),
    ]


@pytest.mark.parametrize(
    ("tool", "status", "message"),
    [
        (None, 2, "build.sh: not on PATH: vitis_hls\n"),
        ("exit 3", 1, "build.sh: csynth failed, read logs/hls.log\n"),
        ("exit 0", 1, "build.sh: csynth did not create out/ip.xml, read logs/hls.log\n"),
    ],
)
def test_script_stops_at_the_first_failure(tmp_path: Path, tool: str | None, status: int, message: str) -> None:
    later = Command(name="later", argv=("touch", "later"), tool="touch", log="logs/later.log")
    done = run_script(BuildPlan(PLAN.files, (COMMAND, later)), tmp_path, tool)
    assert (done.returncode, done.stderr) == (status, message)
    assert not (tmp_path / "a plan's $HOME/later").exists()
