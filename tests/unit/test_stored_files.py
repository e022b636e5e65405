"""Files by path or address."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from include.mlops import stored_files
from include.mlops.stored_files import listing, read_whole, remove_file, size_of, trouble, write_whole


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_a_file_is_read_as_it_was_written_whether_memory_holds_it_or_not(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_files, "_IN_MEMORY", 1000)
    content = bytes(number % 251 for number in range(size))
    for url in (str(tmp_path / "folder" / "file"), (tmp_path / "folder" / "file").as_uri()):
        write_whole(url, content)
        read = read_whole(url)
        assert size_of(url) == size
        remove_file(url)
        remove_file(url)
        assert (read, size_of(url)) == (content, None), "what was read stays when the file is gone"


def test_files_of_a_folder_are_listed_with_their_sizes_at_any_depth(tmp_path: Path) -> None:
    for name in ("b", "a/c", "a/d/e"):
        write_whole(str(tmp_path / name), name.encode())
    assert [(file.path, file.size) for file in listing(f"{tmp_path}/")] == [("a/c", 3), ("a/d/e", 5), ("b", 1)]
    assert all(file.written > 0 for file in listing(str(tmp_path)))
    assert listing(str(tmp_path / "none")) == []


def test_a_name_may_hold_what_an_address_would_have_to_encode(tmp_path: Path) -> None:
    names = ["a b/roc curve.png", "a#b.png", "roc%20curve.png", "what?.txt"]
    for root in (str(tmp_path / "x y"), f"file://{tmp_path}/x y"):
        for name in names:
            write_whole(f"{root}/{name}", name.encode())
        assert [file.path for file in listing(root)] == names
        assert [read_whole(f"{root}/{name}") for name in names] == [name.encode() for name in names]
    assert {path.name for path in tmp_path.iterdir()} == {"x y"}


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "full"),
        (OSError("Error writing bytes to file. Detail: [errno 28] No space left on device"), "full"),
        (OSError(errno.EACCES, "Permission denied"), "refused"),
        (
            OSError("When listing objects: AWS Error ACCESS_DENIED during ListObjectsV2 operation: Access Denied"),
            "refused",
        ),
        (OSError("When uploading part: AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"), "refused"),
        (OSError("AWS Error SLOW_DOWN during PutObject operation: Please reduce your request rate."), "passing"),
        (OSError("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7"), "passing"),
        (FileNotFoundError(errno.ENOENT, "No such file"), None),
        (OSError("Couldn't deserialize thrift"), None),
    ],
    ids=str,
)
def test_what_a_file_system_answers_is_told_apart(error: OSError, meant: str | None) -> None:
    assert trouble(error) == meant
