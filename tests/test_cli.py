from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import fpgaflow
from fpgaflow.boards import list_boards
from fpgaflow.build_folder import MANIFEST
from fpgaflow.cli import main
from fpgaflow.project import FILE
from fpgaflow.sim.run import Simulator
from fpgaflow.stages import STATE, locked
from tests.builds import SAMPLES, STAGES, command, install, install_vendor_tools, path_with, statuses
from tests.models import Net

COMMANDS = (
    *("doctor", "boards", "init", "train", "search", "quantize", "check", "build", "simulate", "validate"),
    *("engine", "bench", "deploy", "compare", "report"),
)


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object that stdout holds, and nothing else."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def fpga(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Runs a command line in this process; an exception would be a traceback to the user."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def unsupported(tmp_path: Path) -> Path:
    """A model with two nodes that cannot be carried."""
    net = Net(3)
    x = net.quant("x", 1 / 8, 8)
    net.node("Add", net.node("Cos", x), net.node("Tan", x), output="y")
    (tmp_path / "unsupported.onnx").write_bytes(net.model("y").SerializeToString())
    return tmp_path / "unsupported.onnx"


# Help


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    for name in COMMANDS:
        assert f"\n    {name} " in text
    assert "Exit status: 0 done, 1 something was checked and failed, 2 bad input" in " ".join(text.split())


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("doctor", []),
        ("boards", ["NAME"]),
        ("init", ["DIR"]),
        ("train", ["RECIPE", "--out DIR"]),
        ("check", ["MODEL", "--board NAME"]),
        ("build", ["MODEL", "--board NAME", "--flow {hls,rtl}", "--fps N", "--data X.npz", "--out DIR"]),
        (
            "simulate",
            [
                "MODEL_OR_BUILD",
                "--data X.npz",
                "--out Y.npz",
                "--trace",
                "--explain",
                "--engine {fast,cuda,reference}",
                "--workers N",
                "--scheduler ADDRESS",
            ],
        ),
        ("validate", ["BUILD", "--data X.npz"]),
    ],
)
def test_help_of_a_command_explains_every_argument(
    capsys: pytest.CaptureFixture[str], name: str, arguments: list[str]
) -> None:
    text = help_of(capsys, name)
    assert "Exit status:" in text
    described = text.split("\n\n", 1)[1]  # behind the usage line
    for argument in [*arguments, "--json"]:
        lines = described.split(f"\n  {argument}", 1)
        assert len(lines) == 2, f"{argument} is not described"
        assert lines[1].split("\n  -")[0].strip(), f"{argument} has no help"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out == f"fpgaflow {fpgaflow.__version__}\n"


# What goes well


def test_boards(fpga: Any) -> None:
    listed = fpga("boards", "--json").json["boards"]
    assert [board["name"] for board in listed] == [board.name for board in list_boards()]
    one = fpga("boards", "kv260", "--json").json
    assert one in listed and one["resources"]["lut"] == 117_120
    text = fpga("boards").out
    assert all(board.name in text and board.part in text for board in list_boards())
    assert "clock.design_mhz" in fpga("boards", "kv260").out


def test_doctor(fpga: Any) -> None:
    ran = fpga("doctor", "--json")
    assert ran.status == 0
    for tool in ran.json["tools"]:
        assert tool.keys() == {"name", "found", "provider", "version", "unlocks", "how_to_get"}
    assert {tool["name"] for tool in ran.json["tools"]} >= {"g++", "Vivado", "Vitis HLS", "PyTorch"}


def test_check(fpga: Any, finished: Path) -> None:
    model = finished / "model.onnx"
    ran = fpga("check", model, "--board", "pynq-z2", "--json")
    assert (ran.status, ran.json) == (0, {"model": str(model), "ok": True, "problems": []})
    assert "every node can be carried exactly" in fpga("check", model).out
    assert fpga("check", finished / "build").status == 0


def test_check_of_what_cannot_be_carried(fpga: Any, unsupported: Path) -> None:
    ran = fpga("check", unsupported, "--json")
    assert ran.status == 1 and not ran.json["ok"]
    assert len(ran.json["problems"]) == 2
    for problem in ran.json["problems"]:
        assert problem.keys() == {"where", "found", "fix", "node", "op", "reason"}
        assert problem["where"] == f"node '{problem['node']}' ({problem['op']})"
    text = fpga("check", unsupported)
    assert text.status == 1 and "2 of its nodes or ports cannot be carried exactly" in text.out
    assert all(problem["where"].split("'")[1] in text.out for problem in ran.json["problems"])


def test_build(fpga: Any, project: Path) -> None:
    arguments = ("build", project / "model.onnx", "--data", project / "data.npz", "--out", project / "build")
    ran = fpga(*arguments, "--json")
    assert ran.status == 0 and ran.err == ""
    assert ran.json == json.loads((project / "build" / MANIFEST).read_text())
    text = fpga(*arguments).out
    for line in ("csim against sim", f"0 of {3 * SAMPLES}", "estimated", "No bitstream: vitis_hls, vivado not found"):
        assert line in text
    assert f"Next: fpgaflow validate {project / 'build'}" in text


def test_build_whose_goal_is_not_met(fpga: Any, project: Path) -> None:
    arguments = ("build", project / "model.onnx", "--out", project / "build", "--fps", "1e12")
    ran = fpga(*arguments, "--json")
    assert ran.status == 1 and ran.json["failure"].startswith("--fps 1e+12")
    assert statuses(ran.json)["fold"] == "failed"
    for each in (ran, fpga(*arguments)):
        assert each.err.count("✗") == 1 and "--fps 1e+12" in each.err and "Ask for less" in each.err


def test_build_with_a_tool_that_fails(
    fpga: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    install_vendor_tools(tools)
    install(tools, "vitis_hls", "echo 'ERROR: [HLS 200-70] no licence'; exit 1")
    monkeypatch.setenv("PATH", path_with(tools))
    ran = fpga("build", project / "model.onnx", "--data", project / "data.npz", "--out", project / "build", "--json")
    assert ran.status == 2 and "logs/hls.log" in ran.json["failure"] and ran.json["bitstream"] is None
    assert "[HLS 200-70] no licence" in ran.err and "logs/hls.log" in ran.err
    install_vendor_tools(tmp_path / "good")
    monkeypatch.setenv("PATH", path_with(tmp_path / "good"))
    text = fpga("build", project / "model.onnx", "--data", project / "data.npz", "--out", project / "build").out
    assert f"Bitstream: {project}/build/firmware/board/fpgaflow.bit" in text and "reported" in text


def test_simulate(fpga: Any, project: Path) -> None:
    y, data = project / "y.npz", np.load(project / "data.npz")
    expected = Simulator(project / "model.onnx").predict(data["x"])
    for model in (project / "model.onnx", project / "build"):
        for engine in ("fast", "reference"):
            ran = fpga("simulate", model, "--data", project / "data.npz", "--out", y, "--engine", engine, "--json")
            assert ran.status == 0
            assert ran.json == {
                "samples": SAMPLES,
                "outputs": {"scores": [SAMPLES, 3]},
                "accuracy": float((expected.argmax(1) == data["y"]).mean()),
                "out": str(y),
                "engine": engine,
            }
            assert np.array_equal(np.load(y)["y"], expected)


def test_simulate_traces_every_tensor(fpga: Any, project: Path) -> None:
    y, x = project / "y.npz", np.load(project / "data.npz")["x"]
    assert fpga("simulate", project / "build", "--data", project / "data.npz", "--out", y, "--trace").status == 0
    stored = dict(np.load(y))
    traced = Simulator(project / "model.onnx").trace(x)
    assert stored.keys() == {*traced, "y"}
    assert all(np.array_equal(stored[name], values) for name, values in traced.items())


def test_simulate_explains(fpga: Any, project: Path) -> None:
    data = np.load(project / "data.npz")
    simulator = Simulator(project / "model.onnx")
    arguments = ("simulate", project / "model.onnx", "--data", project / "data.npz", "--explain")
    ran = fpga(*arguments, "--json")
    counts = simulator.count_overflows(data["x"])
    assert ran.json["overflows"] == {name: asdict(count) for name, count in counts.items()}
    assert [op["name"] for op in ran.json["explain"]] == [op.name for op in simulator.explain()]
    assert [op["arithmetic"] for op in ran.json["explain"]] == [op.arithmetic.value for op in simulator.explain()]
    text = fpga(*arguments).out
    for op in simulator.explain():
        line = next(line for line in text.splitlines() if line.startswith(f"{op.name} "))
        assert op.arithmetic.value in line and str(op.result) in line
        assert op.name not in counts or f"{counts[op.name].values:,}" in line


def test_simulate_on_one_thread_or_on_others(fpga: Any, project: Path, tmp_path: Path) -> None:
    plain, one = tmp_path / "plain.npz", tmp_path / "one.npz"
    arguments = ("simulate", project / "model.onnx", "--data", project / "data.npz", "--out")
    assert fpga(*arguments, plain).status == 0
    assert fpga(*arguments, one, "--workers", "1").status == 0
    assert one.read_bytes() == plain.read_bytes()
    distributed = pytest.importorskip("distributed", reason="distributed, of the extra `scale`, is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        spread = tmp_path / "spread.npz"
        assert fpga(*arguments, spread, "--scheduler", cluster.scheduler_address).status == 0
    assert spread.read_bytes() == plain.read_bytes()


def test_validate(fpga: Any, finished: Path) -> None:
    ran = fpga("validate", finished / "build", "--json")
    assert ran.status == 0 and ran.json["ok"] and len(ran.json["steps"]) == 3
    text = fpga("validate", finished / "build", "--data", finished / "data.npz").out
    assert text.count("✓") == 3 and "fast against csim" in text


# Projects


def test_init_then_build_there(fpga: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "new" / "digits"
    ran = fpga("init", folder, "--json")
    assert ran.status == 0 and ran.json["project"] == str(folder)
    assert sorted(ran.json["files"]) == sorted(path.name for path in folder.iterdir())
    assert {"fpgaflow.yaml", "model.onnx", "test.npz", "README.md"} <= set(ran.json["files"])
    monkeypatch.chdir(folder)
    ran = fpga("build", "--json")
    assert ran.status == 0 and ran.err == "", "nothing is said of the bundled model: there is a project"
    assert ran.json["model"]["source"] == str(folder / "model.onnx") and ran.json["board"] == "pynq-z2"
    assert ran.json["accuracy"] == {**ran.json["accuracy"], "samples": 297} and ran.json["accuracy"]["float"] > 0.9
    assert list(statuses(ran.json).values()) == ["done"] * len(STAGES)
    for mismatch in ran.json["mismatches"].values():
        assert mismatch["values"] == 2970 and mismatch["different"] == 0
    monkeypatch.chdir(tmp_path)
    # The bundled model is the same one: said on stderr, and taken from the records of the build above.
    bundled = fpga("build", "--out", folder / "build", "--json")
    assert bundled.status == 0 and set(statuses(bundled.json).values()) == {"skipped"}
    assert "building the bundled LeNet-5 on scikit-learn's digits" in bundled.err


def test_init_in_an_empty_folder(fpga: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert fpga("init", ".").status == 0
    assert (tmp_path / FILE).is_file()
    again = fpga("init", ".")
    assert again.status == 2 and "is there and not empty" in again.err


def test_build_takes_the_project_of_its_folder(fpga: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (project / FILE).write_text("model: model.onnx\ndata: data.npz\nboard: pynq-z1\nfps: 2000\n")
    ran = fpga("build", "--fps", "1e12", "--json")
    assert ran.status == 1 and ran.json["board"] == "pynq-z1", "the command line goes before the file"
    ran = fpga("build", "--board", "pynq-z2", "--fps", "50e6", "--json")
    assert ran.status == 0 and statuses(ran.json) == {**dict.fromkeys(STAGES, "skipped"), "fold": "done"}
    assert ran.json["data"] == str(project / "data.npz") and ran.err == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: model.onnx\n", "modle: is not a known key"),
        ("fps: -1\n", "fps: -1 is not positive"),
        ("model: [\n", "cannot be read"),
        ("board: pynq-z2\n", "names no model"),
        ("model: gone.onnx\n", "gone.onnx: is no file"),
        ("model: model.onnx\ndata: gone.npz\n", "gone.npz: cannot be read"),
    ],
)
def test_wrong_project_file(
    fpga: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    (tmp_path / "model.onnx").write_bytes((finished / "model.onnx").read_bytes())
    (tmp_path / FILE).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert_refused(fpga, 2, message, "build")
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE, "model.onnx"]


# Bad input


def assert_refused(fpga: Any, status: int, message: str, *arguments: str | Path) -> None:
    """One clear message on stderr, and the same as the one JSON object on stdout."""
    text, ran = fpga(*arguments), fpga(*arguments, "--json")
    assert (text.status, ran.status) == (status, status)
    assert text.out == ""
    for err in (text.err, ran.err):
        assert err.count("✗") == 1 and message in err
    assert ran.json.keys() == {"error", "message", "problems"}
    (problem,) = ran.json["problems"]
    assert message in ran.json["message"] == f"{problem['where']}: {problem['found']}. {problem['fix']}"
    assert all(problem.values())


@pytest.fixture
def wrong(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of every file that the wrong command lines below name; the working directory."""
    model = (finished / "model.onnx").read_bytes()
    files = {
        "model.onnx": model,
        "truncated.onnx": model[: len(model) // 2],
        "text.onnx": b"hello\n",
        "empty.onnx": b"",
        "zeros.onnx": bytes(4096),
        "model.txt": b"hello\n",
        "graph.json": b'{"format": 1}',
        "broken.json": b"{",
        "mine.toml": b"name = \n",
        "other.toml": b'name = "other"\n',
        "net.py": b"raise ValueError('no weights')\n",
        "text.pt": b"hello\n",
        "text.npz": b"hello\n",
        "file": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    x = np.load(finished / "data.npz")["x"][:4]
    arrays: dict[str, dict[str, object]] = {
        "x": {"x": x},
        "no-x": {"inputs": x},
        "nan": {"x": np.where(np.arange(4) == 2, np.nan, x)},
        "shape": {"x": x[:, :3]},
        "labels": {"x": x, "y": np.arange(3)},
        "objects": {"x": np.array([{"a": 1}], dtype=object)},
        "none": {"x": x[:0]},
    }
    for name, stored in arrays.items():
        np.savez(tmp_path / f"{name}.npz", **stored)  # type: ignore[arg-type]
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("bild", "invalid choice: 'bild'"),
        ("boards --jsn", "unrecognized arguments: --jsn"),
        ("build model.onnx --dat x.npz", "unrecognized arguments: --dat x.npz"),
        ("build --fps fast", "argument --fps: invalid float value: 'fast'"),
        ("build --flow verilog", "argument --flow: invalid choice: 'verilog'"),
        ("build a.onnx b.onnx", "unrecognized arguments: b.onnx"),
        ("simulate model.onnx", "the following arguments are required: --data"),
        ("boards pynq-z3", "Did you mean 'pynq-z2'"),
        ("boards mine.toml", "mine.toml: is not TOML"),
        ("boards other.toml", "other.toml: title: is missing"),
        ("boards missing.toml", "missing.toml: cannot be read"),
        ("check missing.onnx", "missing.onnx: is no file"),
        ("check folder", "folder: holds no manifest.json"),
        ("check truncated.onnx", "truncated.onnx"),
        ("check text.onnx", "text.onnx"),
        ("check empty.onnx", "empty.onnx"),
        ("check zeros.onnx", "zeros.onnx"),
        ("check model.txt", "is of unknown kind '.txt'"),
        ("check file", "file: is of unknown kind ''"),
        ("check graph.json", "graph.json: is no whole saved graph"),
        ("check broken.json", "broken.json: is no whole saved graph"),
        ("check net.py", "net.py: names no function"),
        ("check net.py:network", "ValueError: no weights"),
        ("check missing.py:network", "missing.py: is no Python file"),
        ("check model.onnx --board pynq-z3", "no such board"),
        ("build missing.onnx", "missing.onnx: is no file"),
        ("build folder", "folder: is no file"),
        ("build text.onnx", "text.onnx"),
        ("build model.txt", "is of unknown kind"),
        ("build model.onnx --board pynq-z3", "no such board"),
        ("build model.onnx --board mine.toml", "mine.toml: is not TOML"),
        ("build model.onnx --fps 0", "fps: 0 is no rate"),
        ("build model.onnx --fps -5", "fps: -5 is no rate"),
        ("build model.onnx --fps nan", "fps: nan is no rate"),
        ("build model.onnx --fps inf", "fps: inf is no rate"),
        ("build model.onnx --data missing.npz", "missing.npz: cannot be read"),
        ("build model.onnx --data text.npz", "text.npz: is no whole .npz file"),
        ("build model.onnx --data no-x.npz", "no-x.npz: holds inputs, but no x"),
        ("build model.onnx --data objects.npz", "objects.npz: is no whole .npz file"),
        ("build model.onnx --data labels.npz", "labels.npz: has labels y of shape (3,)"),
        ("build model.onnx --data none.npz", "none.npz: has x of shape (0, 4)"),
        ("build model.onnx --data nan.npz", "nan at index (0, 2)"),
        ("build model.onnx --data shape.npz", "shape (4, 3)"),
        ("build model.onnx --out file", "file: cannot be written"),
        ("build model.onnx --out file/build", "file/build: cannot be written"),
        ("build model.onnx --out /proc/fpgaflow", "/proc/fpgaflow: cannot be written"),
        ("simulate model.onnx --data nan.npz", "nan at index (0, 2)"),
        ("simulate model.onnx --data shape.npz", "shape (4, 3)"),
        ("simulate model.onnx --data x.npz --trace", "--trace: has nowhere to write to"),
        ("simulate model.onnx --data x.npz --out file/y.npz", "file/y.npz: cannot be written"),
        ("simulate model.onnx --data x.npz --out folder", "folder: cannot be written"),
        ("simulate folder --data x.npz", "folder: holds no manifest.json"),
        ("simulate model.onnx --data x.npz --engine slow", "argument --engine: invalid choice: 'slow'"),
        ("simulate model.onnx --data x.npz --out y.csv", "y.csv: is of unknown kind '.csv'"),
        ("simulate model.onnx --data missing.npz", "missing.npz: cannot be read"),
        ("simulate model.onnx --data text.npz", "text.npz: is"),
        ("simulate model.onnx --data objects.npz", "objects.npz: has x of shape (1,) and dtype object"),
        ("simulate model.onnx --data none.npz", "none.npz: has x of shape (0, 4)"),
        ("simulate model.onnx --data x.npz --workers 0", "workers: 0 threads"),
        ("simulate model.onnx --data x.npz --workers 2 --scheduler tcp://a:1", "--workers: are this machine's threads"),
        ("validate folder", "folder: holds no manifest.json"),
        ("validate missing", "missing: holds no manifest.json"),
        ("validate model.onnx", "model.onnx: holds no manifest.json"),
        ("init file", "file: is there and not empty"),
        ("init .", ".: is there and not empty"),
        ("init file/new", "cannot be read or written (Not a directory)"),
        ("train missing.yaml", "missing.yaml"),
    ],
)
def test_bad_input(fpga: Any, wrong: Path, arguments: str, message: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in wrong.rglob("*") if path.is_file()}
    assert_refused(fpga, 2, message, *arguments.split())
    after = {path: path.stat().st_mtime_ns for path in wrong.rglob("*") if path.is_file() and "build" not in path.parts}
    assert after == before, "nothing is written, and nothing half"


def test_build_of_what_cannot_be_carried(fpga: Any, unsupported: Path, tmp_path: Path) -> None:
    ran = fpga("build", unsupported, "--out", tmp_path / "build", "--json")
    assert ran.status == 2 and ran.json["error"] == "UnsupportedModel"
    assert len(ran.json["problems"]) == 2 and ran.err.count("✗") == 2


def test_second_build_in_a_folder(fpga: Any, project: Path) -> None:
    arguments = ("build", project / "model.onnx", "--out", project / "build")
    with locked(project / "build"):
        assert_refused(fpga, 2, "another build is at work there", *arguments)


def test_markup_in_names_is_text(fpga: Any, tmp_path: Path) -> None:
    assert "[red]missing[/].onnx: is no file" in fpga("check", "[red]missing[/].onnx").err


# Processes


def test_broken_pipe() -> None:
    for arguments in (["boards"], ["boards", "--json"], ["boards", "kv260", "--json"]):
        process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait() == 128 + signal.SIGPIPE


def test_module_runs_as_a_program(project: Path) -> None:
    ran = subprocess.run(command("check", "missing.onnx"), check=False, capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stdout == "" and "missing.onnx: is no file" in ran.stderr


def test_terminal_shows_what_is_going_on(project: Path) -> None:
    """On a terminal a progress line names the stage; it goes to stderr, so that stdout stays one JSON object."""
    (project / "build" / STATE / "qonnx.json").unlink()
    controller, terminal = pty.openpty()
    argv = command(
        "build", project / "model.onnx", "--data", project / "data.npz", "--out", project / "build", "--json"
    )
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    ran = subprocess.run(argv, check=False, stdout=subprocess.PIPE, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(controller)
    assert ran.returncode == 0 and json.loads(ran.stdout)["failure"] is None
    assert b"qonnx" in shown
