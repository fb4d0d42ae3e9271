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
    names = [board.name for board in boards]
    vendors = "alveo-u200 alveo-u250 alveo-u280 alveo-u50 alveo-u55c arty-a7-100t arty-a7-35t arty-z7-10 arty-z7-20"
    vendors += " cora-z7-07s cora-z7-10 ebaz4205 kv260 nexys-a7-100t pynq-z1 pynq-z2 rfsoc4x2 ultra96-v2 zcu102 zcu104"
    assert names == sorted(names) and set(names) >= {*vendors.split(), "zedboard"}
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
        ("zedboard", "xc7z020clg484-1", (53_200, 106_400, 220, 140, 0)),
        ("cora-z7-07s", "xc7z007sclg400-1", (14_400, 28_800, 66, 50, 0)),
        ("ebaz4205", "xc7z010clg400-1", (17_600, 35_200, 80, 60, 0)),
        ("arty-a7-35t", "xc7a35ticsg324-1L", (20_800, 41_600, 90, 50, 0)),
        ("rfsoc4x2", "xczu48dr-ffvg1517-2-e", (425_280, 850_560, 4_272, 1_080, 80)),
        ("alveo-u50", "xcu50-fsvh2104-2-e", (871_680, 1_743_360, 5_952, 1_344, 640)),
        ("alveo-u200", "xcu200-fsgd2104-2-e", (1_182_240, 2_364_480, 6_840, 2_160, 960)),
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


OPEN = """
name = "mine"
title = "My board"
vendor = "Me"
part = "iCE40UP5K-SG48"
family = "ice40"
interface = "uart"
toolchain = "nextpnr-ice40"
amaranth = "icebreaker.ICEBreakerPlatform"

[resources]
lut = 5_280
ff = 5_280
dsp = 8
bram36 = 3
uram = 0
ram_blocks = 30
source = "data sheet"

[clock]
design_mhz = 24
pl_mhz = 12
pl_pin = "35"
source = "schematic"

[uart]
baud = 1_000_000
rx = "6"
tx = "9"
source = "schematic"
"""


def test_an_open_board(tmp_path: Path) -> None:
    board = load_board(write(tmp_path, OPEN))
    assert board.toolchain.is_open and board.uart is not None
    assert (board.uart.baud, board.uart.rx, board.resources.ram_blocks) == (1_000_000, "6", 30)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('amaranth = "icebreaker.ICEBreakerPlatform"', "", r"amaranth: is missing.*'nextpnr-ice40' needs it"),
        ('"icebreaker.ICEBreakerPlatform"', '"os.system(1)"', r"amaranth: is 'os\.system\(1\)'\. Match"),
        ('[uart]\nbaud = 1_000_000\nrx = "6"\ntx = "9"\nsource = "schematic"', "", r"uart: is missing"),
        ('pl_mhz = 12\npl_pin = "35"', "", r"clock\.pl_mhz: is missing"),
        ("baud = 1_000_000", "baud = 0", r"uart\.baud: does not divide the clock of 12 MHz"),
        ("baud = 1_000_000", "baud = 115_200", r"uart\.baud: does not divide the clock of 12 MHz"),
        ("baud = 1_000_000", "baud = 12_000_000", r"uart\.baud: does not divide the clock of 12 MHz by 4 or more"),
        ('rx = "6"\n', "", r"uart: has only one of rx and tx"),
        (
            'interface = "uart"',
            'interface = "axi-lite"',
            r"interface: is 'axi-lite'\. With 'nextpnr-ice40', use 'uart'",
        ),
    ],
)
def test_every_mistake_of_an_open_board_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OPEN
    with pytest.raises(BadInput, match=r"mine\.toml: " + message):
        load_board(write(tmp_path, OPEN.replace(old, new)))


# LUT, FF, DSP, blocks of RAM of the vendors' data sheets.
@pytest.mark.parametrize(
    ("name", "totals"),
    [
        ("icebreaker", (5_280, 5_280, 8, 30)),
        ("ulx3s-85f", (83_640, 83_640, 156, 208)),
        ("orangecrab", (24_288, 24_288, 28, 56)),
        ("tang-nano-9k", (8_640, 6_480, 20, 26)),
    ],
)
def test_totals_of_open_parts(name: str, totals: tuple[int, ...]) -> None:
    have = load_board(name).resources
    assert (have.lut, have.ff, have.dsp, have.ram_blocks) == totals
