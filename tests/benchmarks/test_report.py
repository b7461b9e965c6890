"""One report, four forms: JSON and back, Markdown, a page that needs nothing, plots; and two of them compared."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench_reports import MACHINE, make_report, make_run, turn
from sal_bench.compare import compare, read_report
from sal_bench.page import to_html, to_markdown, write_report
from sal_bench.report import Report
from sal_bench.svg import Axis
from sal_runtime.errors import DataError, OutputError

SLOW, FAST = make_run("slow", [10, 12, 10, 30, 11, 10]), make_run("fast & <light>", [5, 6, 5, 15, 5.5, 5])


def test_what_a_run_says() -> None:
    assert (SLOW.latency.n, SLOW.latency.p50, SLOW.latency.max) == (18, 11.5, 32.0)
    assert SLOW.medians == [10, 12, 10, 30, 11, 10]
    assert SLOW.stages == {"prepare": 0.25, "compute": 11.25}
    assert SLOW.joules_a_frame == {"package": 0.5}
    assert turn(0.0, 10.0, 30.0).seconds == 0.04
    assert make_run("one", [20, 20]).fps == pytest.approx(6 / 0.122)
    assert [(r.name, r.against, r.ratio, r.verdict) for r in make_report(SLOW, FAST).ratios] == [
        ("fast & <light>", "slow", 2.0, "faster")
    ]


def test_json_there_and_back() -> None:
    report = make_report(SLOW, FAST, warnings=("beware",))
    assert Report.from_json(report.to_json()) == report
    raw = json.loads(report.to_json())
    assert raw["sal_bench"] == 1
    assert raw["runs"][0]["rounds"][3]["samples"] == [29.0, 30.0, 32.0], "raw samples are kept"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not a report of sal-bench"),
        ("[]", "not a report of sal-bench"),
        ('{"sal_eval": 1}', "not a report of sal-bench"),
        ('{"sal_bench": 2}', "version 2 is not 1, the one this sal-bench reads; measure again"),
        ('{"sal_bench": 1}', "lacks or mistakes a field"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        read_report(tmp_path)
    assert str(tmp_path / "report.json") in str(caught.value)
    with pytest.raises(DataError, match=r"none\.json: cannot be read"):
        read_report(tmp_path / "none.json")


def test_the_page_needs_nothing_and_parses() -> None:
    page = to_html(make_report(SLOW, FAST, warnings=("beware of <things>",)))
    assert not re.search(r"https?://|//cdn|@import|url\(|<script|<link|<img", page)
    tree = ElementTree.fromstring(page.partition("\n")[2])
    assert page.startswith("<!DOCTYPE html>")
    text = "".join(tree.itertext())
    for told in ("beware of <things>", "fast & <light>", "it is <not> installed", "Latency over time", "package 0.5 J"):
        assert told in text
    assert len(tree.findall(".//svg")) == 5
    assert "prefers-color-scheme:dark" in page
    assert 'name="viewport"' in page


def test_markdown_tables_are_whole(tmp_path: Path) -> None:
    text = to_markdown(make_report(SLOW, make_run("a|b", [5] * 6)), "report.svg")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 5
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines
    assert "![" in text
    assert "| slow | 11.50 | 30.00* | 32.00* | 32.00* | 32.00 |" in text, text
    assert "not claimed" in text


def test_files_appear_once(tmp_path: Path) -> None:
    paths = write_report(make_report(SLOW), tmp_path / "r", exist_ok=False)
    assert [path.name for path in paths] == ["report.json", "report.md", "report.html", "report.svg"]
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "r", *paths])
    assert read_report(tmp_path / "r") == make_report(SLOW)
    ElementTree.parse(tmp_path / "r" / "report.svg")
    with pytest.raises(OutputError, match="exists and is kept"):
        write_report(make_report(SLOW), tmp_path / "r", exist_ok=False)
    write_report(make_report(FAST), tmp_path / "r", exist_ok=True)


def test_comparing_two_reports() -> None:
    faster = make_run("slow", [5, 6, 5, 6, 5.5, 5])
    found = compare(make_report(SLOW, FAST), make_report(faster, machine={**MACHINE, "cpu": "Paper 2", "gpu": ["G"]}))
    assert [(r.name, r.ratio, r.verdict, r.paired) for r in found.ratios] == [("slow", 2.0, "faster", False)]
    assert found.machines == ("cpu: Paper 1 -> Paper 2", "gpu: not told -> G")
    assert found.left_over == ("fast & <light>",)
    other = {**MACHINE, "packages": {"numpy": "2.1", "torch": "2.9"}}
    assert compare(make_report(SLOW), make_report(SLOW, machine=other)).machines == (
        "numpy: 2.0 -> 2.1",
        "torch: absent -> 2.9",
    )
    assert compare(make_report(faster), make_report(SLOW)).ratios[0].verdict == "slower"
    assert compare(make_report(SLOW), make_report(SLOW)).ratios[0].verdict == "undecided"


def test_comparing_what_cannot_be_compared() -> None:
    assert len(compare(make_report(SLOW), make_report(FAST)).pairs) == 1, "one run each: these two are meant"
    with pytest.raises(DataError, match="no run in common"):
        compare(make_report(SLOW, FAST), make_report(make_run("other", [1.5])))
    with pytest.raises(DataError, match="different rates or numbers of streams"):
        compare(make_report(SLOW), make_report(make_run("slow", [5], frames_a_sample=4)))


def test_round_ticks() -> None:
    assert Axis(0.0, 1.0, 0, 100).ticks() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert Axis(0.95, 1.0, 226, 26).at(1.0) == 26.0
    assert Axis(37.0, 260.0, 0, 100).ticks() == [50.0, 100.0, 150.0, 200.0, 250.0]
