from __future__ import annotations

from pathlib import Path

import pytest

from fpgaflow.boards import Family, Interface, Toolchain, list_boards, load_board
from fpgaflow.errors import BadInput

GOOD = """
name = "mine"
title = "My board"
vendor = "Me"
part = "xc7z020clg400-1"
family = "zynq-7000"
interface = "axi-stream-dma"
toolchain = "vivado"

[resources]
lut = 53_200
ff = 106_400
dsp = 220
bram36 = 140
uram = 0
source = "data sheet"

[clock]
design_mhz = 100
source = "schematic"
"""


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_bundled_boards() -> None:
    boards = list_boards()
    assert [board.name for board in boards] == [
        "alveo-u250",
        "alveo-u55c",
        "arty-a7-100t",
        "arty-z7-20",
        "kv260",
        "pynq-z1",
        "pynq-z2",
        "ultra96-v2",
        "zcu102",
        "zcu104",
    ]
    assert all(load_board(board.name) == board for board in boards)


# Device totals as hls4ml's csynth reports and AMD's data sheets give them: LUT, FF, DSP, BRAM36, URAM.
@pytest.mark.parametrize(
    ("name", "part", "totals"),
    [
        ("pynq-z2", "xc7z020clg400-1", (53_200, 106_400, 220, 140, 0)),
        ("arty-a7-100t", "xc7a100tcsg324-1", (63_400, 126_800, 240, 135, 0)),
        ("zcu102", "xczu9eg-ffvb1156-2-e", (274_080, 548_160, 2_520, 912, 0)),
        ("zcu104", "xczu7ev-ffvc1156-2-e", (230_400, 460_800, 1_728, 312, 96)),
        ("kv260", "xck26-sfvc784-2LV-c", (117_120, 234_240, 1_248, 144, 64)),
        ("alveo-u250", "xcu250-figd2104-2L-e", (1_728_000, 3_456_000, 12_288, 2_688, 1_280)),
    ],
)
def test_device_totals(name: str, part: str, totals: tuple[int, ...]) -> None:
    board = load_board(name)
    resources = board.resources
    assert board.part == part
    assert (resources.lut, resources.ff, resources.dsp, resources.bram36, resources.uram) == totals


def test_two_flip_flops_for_each_lut() -> None:
    """True of the fabric of every AMD family here, so a slip of a digit shows."""
    amd = [board for board in list_boards() if board.toolchain in (Toolchain.VIVADO, Toolchain.VITIS)]
    assert amd
    assert [board.name for board in amd if board.resources.ff != 2 * board.resources.lut] == []


def test_own_file(tmp_path: Path) -> None:
    board = load_board(write(tmp_path, GOOD))
    assert (board.family, board.interface) == (Family.ZYNQ_7000, Interface.AXI_STREAM_DMA)
    assert board.clock.design_mhz == 100.0
    assert isinstance(board.clock.design_mhz, float)
    assert board.board_part is None


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(BadInput, match=r"'pynqz2'.*Did you mean 'pynq-z2'\?.*zcu104"):
        load_board("pynqz2")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lut = 53_200", "lut = -1", r"resources\.lut: is -1\. Give a whole number"),
        ("lut = 53_200", "lut = 53200.0", r"resources\.lut: is 53200\.0"),
        ("lut = 53_200", "lut = true", r"resources\.lut: is True"),
        ("lut = 53_200", "", r"resources\.lut: is missing"),
        ("lut = 53_200", "lut = 1\nluts = 2", r"resources\.luts: is no field of a board\. Did you mean 'lut'\?"),
        ("design_mhz = 100", "design_mhz = 0", r"clock\.design_mhz: is 0\. Give a number above 0"),
        ("design_mhz = 100", "design_mhz = nan", r"clock\.design_mhz: is nan"),
        ("design_mhz = 100", "design_mhz = '100'", r"clock\.design_mhz: is '100'"),
        ("design_mhz = 100", "design_mhz = 100\npl_mhz = 125", r"clock: has only one of pl_mhz and pl_pin"),
        ('"zynq-7000"', '"zynq"', r"family: is 'zynq'\. Use one of: zynq-7000, artix-7"),
        ('"zynq-7000"', "[1]", r"family: is \[1\]"),
        ('"axi-stream-dma"', '"xrt"', r"platform: platform is None while interface is 'xrt'"),
        ('"My board"', '" "', r"title: is ' '\. Give a text"),
        ('"My board"', "7", r"title: is 7"),
        ('"xc7z020clg400-1"', '"x[exec rm]"', r"part: is 'x\[exec rm\]'\. Match"),
        ('name = "mine"', 'name = "other"', r"name: is 'other' in a file named 'mine\.toml'"),
        ('vendor = "Me"', 'vendr = "Me"', r"vendr: is no field of a board\. Did you mean 'vendor'\?"),
        ("[clock]", "[clock", r"is not TOML"),
    ],
)
def test_every_mistake_names_file_and_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(BadInput, match=r"mine\.toml.*" + message):
        load_board(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 100_000, b"resources = 1"])
def test_hostile_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"mine\.toml"):
        load_board(str(path))


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_board(str(tmp_path / "absent.toml"))
