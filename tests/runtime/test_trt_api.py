"""Every name of TensorRT's that our code says exists in every version it is for; two records and one library agree."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sal_runtime
from tiny import SHARED

ROOT = Path(sal_runtime.__file__).parent
RTX = ROOT / "trt" / "rtx.py"
"""The one file that speaks to TensorRT for RTX only."""
SOURCES = [*sorted((ROOT / "trt").glob("*.py")), *sorted((ROOT / "backends").glob("tensorrt*.py"))]
SOURCES.remove(RTX)
RECORD: dict[str, Any] = json.loads(Path(__file__).with_name("tensorrt_api.json").read_text(encoding="utf-8"))
EVERY = set(RECORD["versions"])

OURS = {"precision"}
"""Names of our own that are TensorRT's as well, for something else."""


def versions_of(kind: str) -> dict[str, dict[str, set[str]]]:
    """Class or enumeration -> member -> the versions that have it."""
    return {
        name: {member: set(which.split()) for which, members in groups.items() for member in members}
        for name, groups in RECORD[kind].items()
    }


CLASSES, ENUMS = versions_of("classes"), versions_of("enums")


def attributes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr


def enum_members(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """``trt.BuilderFlag.TF32`` and ``library.module.TensorIOMode.INPUT`` as (enumeration, member)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr in ENUMS:
            yield node.value.attr, node.attr


def test_members_exist_in_every_version() -> None:
    said = {name for source in SOURCES for name in attributes(ast.parse(source.read_text(encoding="utf-8")))}
    known = {member for members in CLASSES.values() for member in members}
    assert {"build_serialized_network", "execute_async_v3", "set_tensor_address", "get_engine_information"} <= said
    for name in sorted((said & known) - OURS):
        where = {owner: members[name] for owner, members in CLASSES.items() if name in members}
        assert any(versions == EVERY for versions in where.values()), f"{name} is not in every version: {where}"


def test_enumerations_have_what_is_asked_of_them_in_every_version() -> None:
    found = {pair for source in SOURCES for pair in enum_members(ast.parse(source.read_text(encoding="utf-8")))}
    assert ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED") in found
    for owner, member in found:
        assert ENUMS[owner].get(member) == EVERY, f"{owner}.{member} is in {ENUMS[owner].get(member)} only"


def test_what_is_said_to_rtx_is_known_to_it() -> None:
    tree = ast.parse(RTX.read_text(encoding="utf-8"))
    known = {member: versions for members in CLASSES.values() for member, versions in members.items()}
    said = set(attributes(tree)) & set(known)
    assert {"create_runtime_cache", "is_stream_capturable", "update_device_memory_size_for_shapes"} <= said
    assert {name for name in said if "rtx-1.7" not in known[name]} == set()
    found = set(enum_members(tree))
    assert ("BuilderFlag", "REQUIRE_USER_ALLOCATION") in found
    assert {pair for pair in found if "rtx-1.7" not in ENUMS[pair[0]].get(pair[1], ())} == set()


def test_no_flag_is_written_as_a_number_and_no_precision_is_a_flag() -> None:
    """Version 11 renumbered its enumerations and has no precision flags: an fp16 engine would silently be fp32."""
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        flags = {member for owner, member in enum_members(tree) if owner == "BuilderFlag"}
        assert flags <= {"TF32", "VERSION_COMPATIBLE"}, f"{source.name} sets {flags}"
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "create_network"
            ):
                assert ast.unparse(node.args[0]).startswith("1 << int(")


def test_the_record_is_what_the_installed_library_has() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    if not trt.__version__.startswith("1.7."):
        pytest.skip(f"the record is of TensorRT for RTX 1.7, here is {trt.__version__}")
    for owner, members in CLASSES.items():
        for member, versions in members.items():
            assert hasattr(getattr(trt, owner), member) == ("rtx-1.7" in versions), f"{owner}.{member}"
    for owner, members in ENUMS.items():
        for member, versions in members.items():
            assert hasattr(getattr(trt, owner), member) == ("rtx-1.7" in versions), f"{owner}.{member}"


@pytest.mark.skipif(not (SHARED / "tensorrt-api").is_dir(), reason="the whole interfaces are not beside this checkout")
def test_the_record_is_an_extract_of_the_whole_interfaces() -> None:
    for version in EVERY:
        whole = json.loads((SHARED / "tensorrt-api" / f"{version}.json").read_text(encoding="utf-8"))
        for owner, members in CLASSES.items():
            recorded = {member for member, versions in members.items() if version in versions}
            assert recorded == set(whole.get(owner, {}).get("attrs", ())), f"{owner} in {version}"
        for owner, members in ENUMS.items():
            recorded = {member for member, versions in members.items() if version in versions}
            assert recorded == set(whole.get(owner, {}).get("enum", ())), f"{owner} in {version}"
