"""Images are values: described, built without an engine, the same each time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from cluster.images import ImageError, build, describe, image_names
from cluster.images.description import Code, Distribution, ImageDescription, Program, Runtime, parse
from cluster.images.tarballs import EPOCH, copy_members, write_tree

if TYPE_CHECKING:
    from pathlib import Path

CODE = Code(
    target="/opt/sluicegate",
    distributions=(
        Distribution(
            source="bentos/service/src/sluicegate_service",
            pyproject="bentos/service/pyproject.toml",
        ),
    ),
)


def image(program: str = "hello", **more: object) -> ImageDescription:
    return ImageDescription(
        name="small",
        version="1",
        runtime=Runtime(entrypoint=("/hello",), env={"B": "2", "A": "1"}),
        program=Program(name=program, target="/bin/hello"),
        **more,
    )


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "hello"
    path.write_bytes(b"#!/bin/true")
    return path


def blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_every_image_description_in_the_folder_is_valid():
    assert {"runtime", "operator", "traefik", "prometheus", "registry", "pause"} <= set(
        image_names()
    )
    for name in image_names():
        assert describe(name).reference.startswith(f"sluicegate.local/{name}:")


def test_an_archive_names_its_image_by_tag_and_by_digest(tmp_path: Path, binary: Path):
    built = build(image(), cache=tmp_path / "cache", program=lambda _: binary)
    content = blobs(built.archive)
    index = json.loads(content["index.json"])

    assert json.loads(content["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [
        "sluicegate.local/small:1",
        f"sluicegate.local/small@{built.digest}",
    ]
    assert built.pinned_reference == f"sluicegate.local/small@{built.digest}"


def test_each_blob_has_the_digest_that_names_it(tmp_path: Path, binary: Path):
    built = build(image(), cache=tmp_path / "cache", program=lambda _: binary)
    content = {name: data for name, data in blobs(built.archive).items() if "sha256/" in name}

    assert len(content) == 3
    for name, data in content.items():
        assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def test_the_diff_ids_of_an_image_config_are_those_of_its_layers(tmp_path: Path, binary: Path):
    built = build(image(), cache=tmp_path / "cache", program=lambda _: binary)
    content = blobs(built.archive)
    manifest = json.loads(content[f"blobs/{built.digest.replace(':', '/')}"])
    config = json.loads(content[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])

    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert config["config"]["Env"] == ["A=1", "B=2"]


def test_the_same_image_description_gives_the_same_archive_on_another_machine(
    tmp_path: Path, binary: Path
):
    one = build(image(), cache=tmp_path / "one", program=lambda _: binary)
    two = build(image(), cache=tmp_path / "two", program=lambda _: binary)

    assert one.digest == two.digest
    assert one.archive.read_bytes() == two.archive.read_bytes()


def test_a_changed_program_gives_a_new_image_and_keeps_one_earlier_archive(
    tmp_path: Path, binary: Path
):
    digests = set()
    for content in (b"one", b"two", b"three"):
        binary.write_bytes(content)
        digests.add(build(image(), cache=tmp_path / "cache", program=lambda _: binary).digest)

    assert len(digests) == 3
    assert len(list((tmp_path / "cache" / "images").glob("small-*.tar"))) == 2


def test_the_code_in_an_image_is_compiled_and_has_its_version(tmp_path: Path, binary: Path):
    built = build(image(code=CODE), cache=tmp_path / "cache", program=lambda _: binary)
    (layer,) = [
        data for data in blobs(built.archive).values() if b"sluicegate_service/launcher.py" in data
    ]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        names = tar.getnames()
        assert {member.mtime for member in tar.getmembers()} == {EPOCH}
        assert {(member.uid, member.gid) for member in tar.getmembers()} == {(0, 0)}
    root = "opt/sluicegate"
    assert f"{root}/sluicegate_service-0.1.0.dist-info/METADATA" in names
    assert f"{root}/sluicegate_service/__pycache__/launcher.cpython-311.pyc" in names
    assert names.index("opt") < names.index(root)


def test_a_file_tree_is_archived_in_a_fixed_order(tmp_path: Path):
    for name in ("b", "a/z", "a/y"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    sink = io.BytesIO()
    write_tree(tmp_path, "/x/y", sink)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as tar:
        assert tar.getnames() == ["x", "x/y", "x/y/a", "x/y/a/y", "x/y/a/z", "x/y/b"]


def test_device_nodes_and_unwanted_paths_are_dropped():
    source = io.BytesIO()
    with tarfile.open(fileobj=source, mode="w") as tar:
        for name, kind in (
            ("./lib/x", tarfile.REGTYPE),
            ("./dev/null", tarfile.CHRTYPE),
            ("./usr/share/doc/x", tarfile.REGTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type = kind
            tar.addfile(entry)
    source.seek(0)
    sink = io.BytesIO()
    copy_members(source, sink, without=("/usr/share/doc",))
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as tar:
        assert tar.getnames() == ["./lib/x"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"runtme": {}}, "x.toml: 'runtme' is not known"),
        ({"version": "1", "runtime": {"entry": []}}, r"x.toml \[runtime\]: 'entry' is not known"),
        ({"version": "1", "runtime": {}}, r"x.toml \[runtime\]: .*entrypoint"),
        ({"version": "1"}, "x.toml: .*runtime"),
        (
            {"version": "1", "code": {"target": "/x", "distributions": [{"source": "y"}]}},
            r"x.toml \[code\] distributions\[0\]: .*pyproject",
        ),
    ],
)
def test_a_mistake_in_an_image_description_is_named(document: dict, message: str):
    with pytest.raises(ImageError, match=message):
        parse("x", document)


def test_an_unknown_image_is_refused_with_the_list_of_images():
    with pytest.raises(ImageError, match=r"no image is called 'nope': choose one of .*runtime"):
        describe("nope")


def test_an_empty_image_description_is_refused(tmp_path: Path):
    empty = ImageDescription(name="empty", version="1", runtime=Runtime(entrypoint=("/x",)))
    with pytest.raises(ImageError, match="describes no content"):
        build(empty, cache=tmp_path, program=lambda _: tmp_path)
