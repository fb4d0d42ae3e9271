"""`deploy` and `validate --board-results` as a user runs them, on a folder as a build leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fpgaflow.cli import main
from fpgaflow.deploy.results import bring_back
from fpgaflow.errors import BadInput
from fpgaflow.ir.store import save_graph
from tests.deploy.test_archive import GOOD, built
from tests.targets.hls.test_firmware import dense_net


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = built(tmp_path / "build", mismatches={"csim_vs_sim": {"different": 0}})
    save_graph(dense_net().graph(), folder / "graph.json")
    return folder


def results(folder: Path, different: int = 0) -> Path:
    content = {**GOOD, "graph": dense_net().graph().digest, "test": {**GOOD["test"], "different": different}}
    path = folder / "board.json"
    path.write_text(json.dumps(content))
    return path


def test_results_go_into_the_manifest(build: Path) -> None:
    assert bring_back(build, results(build.parent)).ok
    manifest = json.loads((build / "manifest.json").read_text())
    assert manifest["board_results"]["source"] == "measured"
    assert manifest["board_results"]["latency_us"]["transfer"] == 310.5
    assert set(manifest["mismatches"]) == {"csim_vs_sim", "board_vs_sim"}
    assert manifest["part"] == "xc7z020clg400-1", "nothing else changes"


def test_differing_bits_are_no_success(build: Path) -> None:
    assert not bring_back(build, results(build.parent, different=1)).ok


def test_results_of_another_graph_change_nothing(build: Path) -> None:
    before = (build / "manifest.json").read_bytes()
    path = build.parent / "board.json"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(BadInput, match=r"board\.json: graph: is 'abc'"):
        bring_back(build, path)
    assert (build / "manifest.json").read_bytes() == before


def test_the_command_prints_one_json_object(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(build), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert Path(document["archive"]).is_file() and document["missing"] == ["fpgaflow.bit", "fpgaflow.hwh"]
    assert "vivado not found" in document["why_no_bitstream"]


def test_the_command_refuses_what_is_no_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(tmp_path)]) == 2
    assert "holds no manifest.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latency-us", "0"], "latency: 0 is no time"),
        (["--max-utilisation", "1.5"], "1.5 is no share"),
        (["--tool-timeout", "-1"], "is -1 minutes"),
        (["--remote", "-oProxyCommand=id"], "expected one argument"),
        (["--remote", "a b"], "--remote: is 'a b'"),
    ],
)
def test_wrong_goals_are_told_before_any_work(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["build", str(tmp_path / "none.onnx"), "--board", "pynq-z2", "--out", str(tmp_path / "out"), *options]
    assert main(argv) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
