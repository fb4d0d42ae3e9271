from __future__ import annotations

from pathlib import Path

import pytest

from fpgaflow.boards import load_board
from fpgaflow.errors import BadInput
from fpgaflow.report.parse import (
    HlsReport,
    PowerReport,
    Report,
    ResourceUsage,
    TimingReport,
    Usage,
    UtilizationReport,
    parse_hls_xml,
    parse_report,
)
from tests.third_party import third_party

# Fragments of the formats, written for these tests; each has all that its parser reads.
HLS_XML = """<profile>
<ReportVersion><Version>2023.2</Version></ReportVersion>
<UserAssignments><unit>ns</unit><Part>xc7z020-clg400-1</Part><TopModelName>top</TopModelName>
<TargetClockPeriod>10.00</TargetClockPeriod></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><EstimatedClockPeriod>7.3</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><Best-caseLatency>4</Best-caseLatency><Worst-caseLatency>undef</Worst-caseLatency>
<Interval-min>5</Interval-min><Interval-max>undef</Interval-max></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources><BRAM_18K>3</BRAM_18K><DSP>2</DSP><FF>30</FF><LUT>40</LUT><URAM>0</URAM></Resources>
<AvailableResources><BRAM_18K>280</BRAM_18K><DSP>220</DSP><FF>106400</FF><LUT>53200</LUT><URAM>0</URAM>
</AvailableResources>
</AreaEstimates>
</profile>
"""
HLS_TEXT = """
================================================================
== Vivado HLS Report for 'top'
================================================================
* Version:        2018.3 (Build 1)
* Target device:  xcku115-flvb2104-2-i

== Performance Estimates
+ Timing (ns):
+ Timing:
    * Summary:
    +--------+-------+----------+------------+
    |  Clock | Target| Estimated| Uncertainty|
    +--------+-------+----------+------------+
    |ap_clk  |   5.00|      4.36|        0.62|
    +--------+-------+----------+------------+

+ Latency:
    * Summary:
    +-----+-----+-----+-----+----------+
    |  Latency  |  Interval | Pipeline |
    | min | max | min | max |   Type   |
    +-----+-----+-----+-----+----------+
    |    7|    ?|    2|    3| function |
    +-----+-----+-----+-----+----------+

== Utilization Estimates
* Summary:
+-----------------+---------+-------+--------+--------+
|       Name      | BRAM_18K| DSP48E|   FF   |   LUT  |
+-----------------+---------+-------+--------+--------+
|Register         |        -|      -|      10|       -|
+-----------------+---------+-------+--------+--------+
|Total            |        5|      2|      10|      20|
+-----------------+---------+-------+--------+--------+
|Available SLR    |     2160|   2760|  663360|  331680|
|Available        |     4320|   5520| 1326720|  663360|
+-----------------+---------+-------+--------+--------+
"""
HEAD = """Copyright
| Tool Version : Vivado v.2023.2 (lin64) Build 4029153
| Command      : report
| Design       : design_1_wrapper
| Device       : xczu3eg-sbva484
| Design State : Routed

"""
UTILIZATION = (
    HEAD
    + """Utilization Design Information

1. CLB Logic
+-----------------+------+-------+------------+-----------+-------+
|    Site Type    | Used | Fixed | Prohibited | Available | Util% |
+-----------------+------+-------+------------+-----------+-------+
| CLB LUTs*       |  100 |     0 |          0 |     70560 |  0.14 |
|   LUT as Logic  |   90 |     0 |          0 |     70560 |  0.13 |
| CLB Registers   |  200 |     0 |          0 |    141120 |  0.14 |
+-----------------+------+-------+------------+-----------+-------+
| Block RAM Tile  |  2.5 |     0 |          0 |       216 |  1.16 |
| URAM            |    0 |     0 |          0 |         0 |  0.00 |
+-----------------+------+-------+------------+-----------+-------+
| Site Type | Used | Fixed | Prohibited | Available | Util% |
| DSPs      |    3 |     0 |          0 |       360 |  0.83 |

| Site Type     | Used | Fixed | Prohibited | Available | Util% |
| CLB Registers |    1 |     0 |          0 |        10 | 10.00 |

|   Site Type   | SLR0 | SLR1 |
| CLB LUTs      |    1 |    2 |
"""
)
POWER = (
    HEAD
    + """Power Report

+--------------------------+----------------------------------+
| Total On-Chip Power (W)  | 31.531 (Junction temp exceeded!) |
| Dynamic (W)              | 30.393                           |
| Device Static (W)        | 1.138                            |
| Confidence Level         | Low                              |
+--------------------------+----------------------------------+
"""
)
TIMING = (
    HEAD
    + """Timing Summary Report

------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------
     -0.521      -12.250                      9                 1696        0.057        0.000                      0

Timing constraints are not met.

| Intra Clock Table
Clock             WNS(ns)      TNS(ns)
-----             -------      -------
clk                 9.999        0.000
"""
)
FRAGMENTS = {"csynth.xml": HLS_XML, "csynth.rpt": HLS_TEXT, "u.rpt": UTILIZATION, "p.rpt": POWER, "t.rpt": TIMING}


def parse(folder: Path, name: str, text: str) -> Report:
    path = folder / name
    path.write_bytes(text.encode())
    return parse_report(path)


def test_hls_xml(tmp_path: Path) -> None:
    assert parse(tmp_path, "csynth.xml", HLS_XML) == HlsReport(
        file=tmp_path / "csynth.xml",
        tool="Vitis HLS 2023.2",
        design="top",
        part="xc7z020-clg400-1",
        clock_target_ns=10.0,
        clock_estimated_ns=7.3,
        latency_min=4,
        latency_max=None,
        interval_min=5,
        interval_max=None,
        resources=ResourceUsage(
            lut=Usage(40, 53_200), ff=Usage(30, 106_400), dsp=Usage(2, 220), bram36=Usage(1.5, 140), uram=Usage(0, 0)
        ),
    )


def test_hls_text(tmp_path: Path) -> None:
    assert parse(tmp_path, "csynth.rpt", HLS_TEXT) == HlsReport(
        file=tmp_path / "csynth.rpt",
        tool="Vivado HLS 2018.3",
        design="top",
        part="xcku115-flvb2104-2-i",
        clock_target_ns=5.0,
        clock_estimated_ns=4.36,
        latency_min=7,
        latency_max=None,
        interval_min=2,
        interval_max=3,
        resources=ResourceUsage(
            lut=Usage(20, 663_360), ff=Usage(10, 1_326_720), dsp=Usage(2, 5_520), bram36=Usage(2.5, 2_160), uram=None
        ),
    )


def test_utilization(tmp_path: Path) -> None:
    assert parse(tmp_path, "u.rpt", UTILIZATION) == UtilizationReport(
        file=tmp_path / "u.rpt",
        tool="Vivado v.2023.2",
        design="design_1_wrapper",
        part="xczu3eg-sbva484",
        state="Routed",
        resources=ResourceUsage(
            lut=Usage(100, 70_560), ff=Usage(200, 141_120), dsp=Usage(3, 360), bram36=Usage(2.5, 216), uram=Usage(0, 0)
        ),
    )


def test_power(tmp_path: Path) -> None:
    report = parse(tmp_path, "p.rpt", POWER)
    assert isinstance(report, PowerReport)
    assert (report.total_w, report.dynamic_w, report.static_w, report.confidence) == (31.531, 30.393, 1.138, "Low")


def test_timing(tmp_path: Path) -> None:
    report = parse(tmp_path, "t.rpt", TIMING)
    assert isinstance(report, TimingReport)
    assert (report.wns_ns, report.tns_ns, report.whs_ns) == (-0.521, -12.25, 0.057)


def test_timing_without_constraints(tmp_path: Path) -> None:
    values = "     -0.521      -12.250                      9                 1696        0.057        0.000"
    nothing = "         NA           NA                     NA                   NA           NA           NA"
    assert values in TIMING
    report = parse(tmp_path, "t.rpt", TIMING.replace(values, nothing))
    assert isinstance(report, TimingReport)
    assert (report.wns_ns, report.tns_ns, report.whs_ns) == (None, None, None)


@pytest.mark.parametrize("name", FRAGMENTS)
def test_every_figure_says_where_it_is_from(tmp_path: Path, name: str) -> None:
    report = parse(tmp_path, name, FRAGMENTS[name])
    assert (report.source, report.file) == ("reported", tmp_path / name)


@pytest.mark.parametrize("name", FRAGMENTS)
def test_line_ends_of_windows(tmp_path: Path, name: str) -> None:
    assert parse(tmp_path, name, FRAGMENTS[name].replace("\n", "\r\n")) == parse(tmp_path, name, FRAGMENTS[name])


def check_truncated(whole: Report, text: str, path: Path, step: int) -> None:
    """A report cut anywhere is refused, or all that is read from it comes before the cut."""
    refused = 0
    for length in range(0, len(text), step):
        path.write_text(text[:length])
        try:
            cut = parse_report(path)
        except BadInput as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert cut == whole
    assert refused


@pytest.mark.parametrize("name", FRAGMENTS)
def test_truncated(tmp_path: Path, name: str) -> None:
    whole = parse(tmp_path, name, FRAGMENTS[name])
    check_truncated(whole, FRAGMENTS[name], tmp_path / name, step=1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no report of a known kind"),
        (b"\x00\xff\xfe\x80binary", "no report of a known kind"),
        (b"\x7fELF" * 1000, "no report of a known kind"),
        (b"<html></html>", "no report of a known kind"),
        (b"<profile></profile>", "has no readable element ReportVersion/Version"),
        (b"<profile>" * 100_000, "is not whole XML"),
        (HLS_XML.replace("<LUT>40<", "<LUT>many<").encode(), "has no readable LUT"),
        (HLS_XML.replace("<LUT>40<", f"<LUT>{'9' * 5000}<").encode(), "has no readable LUT"),
        (HLS_XML.replace(">7.3<", ">nan<").encode(), "has no readable estimated clock"),
        (b"== Synthesis Summary Report of 'top'\n", r"is a synthesis summary.*csynth\.xml"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message):
        parse_report(path)


BOMB = """<?xml version="1.0"?>
<!DOCTYPE profile [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_never_expanded(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "csynth.xml"
    path.write_bytes((BOMB + HLS_XML.replace(">top<", ">&b;<")).encode(encoding))
    for parser in (parse_report, parse_hls_xml):
        with pytest.raises(BadInput, match=r"csynth\.xml"):
            parser(path)


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        parse_report(tmp_path / "absent.rpt")


def real(name: str) -> Path:
    """A report that a real tool wrote, from the folder of third-party test data."""
    return third_party(f"reports/{name}")


# Figures read off the files by eye: clock estimated; latency; interval; LUT, FF, DSP, BRAM36.
@pytest.mark.parametrize(
    ("name", "tool", "estimated", "latency", "interval", "used"),
    [
        ("vivado_hls_2019.2_jets/myproject_csynth.xml", "Vivado HLS 2019.2", 6.982, 258, 64, (33_085, 10_771, 21, 10)),
        ("vivado_hls_2019.2_jets/myproject_csynth.rpt", "Vivado HLS 2019.2", 6.982, 258, 64, (33_085, 10_771, 21, 10)),
        ("vivado_hls_2019.2_jets/csynth.xml", "Vivado HLS 2019.2", 6.982, 287, 288, (37_975, 11_873, 21, 10)),
        (
            "vivado_hls_2019.2_jets/myproject_axi_csynth.rpt",
            "Vivado HLS 2019.2",
            6.982,
            287,
            287,
            (37_975, 11_873, 21, 10),
        ),
        ("hls4ml_test_report/myproject_csynth.xml", "Vivado HLS 2020.1", 4.049, 10, 8, (2_532, 7_969, 73, 0)),
        ("hls4ml_test_report/myproject_csynth.rpt", "Vivado HLS 2020.1", 4.049, 10, 8, (2_532, 7_969, 73, 0)),
        ("hls4ml_tutorial/pruned_cnn.csynth.rpt", "Vivado HLS 2020.1", 4.363, 1044, 1028, (245_466, 52_549, 5_414, 50)),
        ("vitis_hls_2025.1_iris/csynth.xml", "Vitis HLS 2025.1", 3.624, 32, 1, (4_725, 13_240, 110, 1.5)),
        ("vitis_hls_2025.1_iris/myproject_csynth.xml", "Vitis HLS 2025.1", 3.624, 32, 1, (4_725, 13_240, 110, 1.5)),
        ("vitis_hls_2025.1_iris/myproject_csynth.rpt", "Vitis HLS 2025.1", 3.624, 32, 1, (4_725, 13_240, 110, 1.5)),
    ],
)
def test_real_hls_reports(
    name: str, tool: str, estimated: float, latency: int, interval: int, used: tuple[float, ...]
) -> None:
    report = parse_report(real(name))
    assert isinstance(report, HlsReport)
    resources = report.resources
    assert (report.tool, report.clock_target_ns, report.clock_estimated_ns) == (tool, 5.0, estimated)
    assert (report.latency_min, report.latency_max) == (latency, latency)
    assert (report.interval_min, report.interval_max) == (interval, interval)
    assert (resources.lut.used, resources.ff.used, resources.dsp.used, resources.bram36.used) == used


def test_real_hls_report_of_one_function() -> None:
    report = parse_report(real("vivado_hls_2019.2_jets/dense_resource_csynth.rpt"))
    assert isinstance(report, HlsReport)
    assert (report.design, report.latency_min, report.latency_max) == ("dense_resource", 66, 67)


@pytest.mark.parametrize(
    ("name", "state", "used"),
    [
        ("hls4ml_test_report/vivado_synth.rpt", "Synthesized", (1_526, 2_428, 66, 0)),
        ("vivado_hls_2019.2_jets/impl_utilization_placed.rpt", "Fully Placed", (17_654, 18_333, 21, 5)),
        ("hls4ml_tutorial/pruned_cnn.vivado_synth.rpt", "Synthesized", (123_948, 43_435, 5_386, 42)),
    ],
)
def test_real_utilization_reports(name: str, state: str, used: tuple[float, ...]) -> None:
    report = parse_report(real(name))
    assert isinstance(report, UtilizationReport)
    resources = report.resources
    assert report.state == state
    assert (resources.lut.used, resources.ff.used, resources.dsp.used, resources.bram36.used) == used


def test_real_power_report() -> None:
    report = parse_report(real("vivado_hls_2019.2_jets/impl_power_routed.rpt"))
    assert isinstance(report, PowerReport)
    assert (report.total_w, report.dynamic_w, report.static_w) == (1.531, 1.393, 0.138)
    assert (report.confidence, report.state, report.part) == ("Medium", "routed", "xc7z020clg400-1")


@pytest.mark.parametrize(
    ("name", "board"),
    [
        ("hls4ml_test_report/myproject_csynth.xml", "pynq-z2"),
        ("hls4ml_test_report/vivado_synth.rpt", "pynq-z2"),
        ("hls4ml_tutorial/pruned_cnn.csynth.rpt", "alveo-u250"),
        ("hls4ml_tutorial/pruned_cnn.vivado_synth.rpt", "alveo-u250"),
    ],
)
def test_real_reports_agree_with_the_boards(name: str, board: str) -> None:
    report = parse_report(real(name))
    assert isinstance(report, HlsReport | UtilizationReport)
    usage, device = report.resources, load_board(board).resources
    assert [usage.lut.available, usage.ff.available, usage.dsp.available, usage.bram36.available] == [
        device.lut,
        device.ff,
        device.dsp,
        device.bram36,
    ]
    assert usage.uram is None or usage.uram.available == device.uram


@pytest.mark.parametrize(
    "name",
    [
        "vitis_hls_2025.1_iris/myproject_csynth.xml",
        "vitis_hls_2025.1_iris/myproject_csynth.rpt",
        "hls4ml_tutorial/pruned_cnn.vivado_synth.rpt",
        "vivado_hls_2019.2_jets/impl_utilization_placed.rpt",
        "vivado_hls_2019.2_jets/impl_power_routed.rpt",
    ],
)
def test_real_reports_truncated(tmp_path: Path, name: str) -> None:
    text = real(name).read_text()
    path = tmp_path / "cut"
    path.write_text(text)
    check_truncated(parse_report(path), text, path, step=31)
