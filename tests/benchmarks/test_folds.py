"""The benchmark of the fold: it measures every form and engine, and what it writes is what ``auto`` reads."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from sal_bench.folds import measure, tables, update
from sal_runtime.backends.measured import TABLE, Row, processor_kind
from sal_train.models import build_network, named_config


def test_every_form_in_every_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(named_config("salema30"), width=0.05)).eval()
    (rows,) = measure(network, ["int8"], rounds=1, steps=2)
    assert [(row.fold, row.engine) for row in rows] == [
        (form, engine) for form in ("none", "transposed", "shuffle", "phases") for engine in ("onnxruntime", "openvino")
    ]
    assert all(row.ms > 0 and (row.network, row.precision) == ("salgan", "int8") for row in rows)


def test_the_table_is_updated_in_part(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    other = Row("aarch64", "salgan", "int8", "none", "onnxruntime", 9.0, 0.1)
    stale = Row(processor_kind(), "salgan", "int8", "phases", "openvino", 5.0, 0.1)
    path.write_text(
        json.dumps({"about": "x", "machines": {}, "rows": [dataclasses.asdict(other), dataclasses.asdict(stale)]})
    )
    new = Row(processor_kind(), "salgan", "int8", "none", "openvino", 40.0, 0.25)
    update([new], "the command", 0.5, path)
    table = json.loads(path.read_text())
    assert {Row(**row) for row in table["rows"]} == {other, new}
    assert table["machines"][processor_kind()]["command"] == "the command"
    assert table["machines"][processor_kind()]["load_before"] == 0.5


def test_the_shipped_table_is_whole() -> None:
    rows = [Row(**row) for row in json.loads(TABLE.read_text(encoding="utf-8"))["rows"]]
    assert {row.network for row in rows} >= {"salgan", "compact"}
    keys = [(r.processor, r.network, r.precision, r.fold, r.engine) for r in rows]
    assert len(set(keys)) == len(keys)
    assert all(row.ms > 0 for row in rows)


def test_markdown() -> None:
    rows = [
        Row("x", "salgan", "int8", "none", "openvino", 47.0, 0.5),
        Row("x", "salgan", "int8", "shuffle", "openvino", 40.04, 0.25),
    ]
    assert tables(rows).splitlines() == [
        "| salgan | openvino int8 |",
        "| --- | --- |",
        "| none | 47.0 ± 0.5 |",
        "| shuffle | **40.0 ± 0.2** |",
    ]
