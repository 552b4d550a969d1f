"""Files are whole or absent."""

import os
import stat
import subprocess
import sys
import threading

import pytest
from full_disk import small_files

from rholaw import files


def test_text_and_bytes_arrive_as_they_are(tmp_path):
    path = tmp_path / "a.txt"
    files.write(path, "ρ\r\n1\n")
    assert path.read_bytes() == "ρ\r\n1\n".encode()
    files.write(str(path), b"\xff\x00")
    assert path.read_bytes() == b"\xff\x00"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_until_the_end_of_the_block_the_old_file_stands(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
        assert draft.parent == path.parent  # a rename between file systems would be a copy
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_file_and_no_draft(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), files.replacing(path) as draft:
        draft.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_mode_is_that_of_the_old_file_or_of_any_new_one(tmp_path):
    (tmp_path / "any").write_text("")
    path = tmp_path / "a.txt"
    files.write(path, "1")
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode
    path.chmod(0o640)
    files.write(path, "2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write(tmp_path / "link", "1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "1"


def test_writers_at_once_do_not_disturb_each_other(tmp_path):
    path, texts = tmp_path / "a.txt", [str(number) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=files.write, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_writer_left_is_removed_by_the_next_and_not_by_one_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    (tmp_path / "a.txt.0123abcd.draft").write_text("half")
    with files.replacing(path) as draft:
        draft.write_text("slow")
        files.write(path, "quick")
        assert set(os.listdir(tmp_path)) == {"a.txt", draft.name}
    assert path.read_text() == "slow"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with small_files(10), pytest.raises(OSError, match=r"File too large: .*a\.txt'"):
        files.write(path, "x" * 11)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_that_cannot_be_written_is_told_by_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none/a\.txt'$"):
        files.write(tmp_path / "none" / "a.txt", "x")


def test_file_and_folder_are_on_the_disk_before_and_after_the_file_has_its_name(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(files, "settle", lambda path: done.append((path.name, os.listdir(tmp_path))))
    files.write(tmp_path / "a.txt", "1")
    (draft, before), (folder, after) = done
    assert draft.endswith(".draft") and before == [draft]
    assert (folder, after) == (tmp_path.name, ["a.txt"])


def test_a_folder_takes_the_place_of_another_and_a_kill_between_loses_neither(tmp_path, monkeypatch):
    path, new = tmp_path / "html", tmp_path / "new"
    for folder, text in ((path, "old"), (new, "new")):
        folder.mkdir()
        (folder / "a.txt").write_text(text)
    rename = type(path).rename

    def killed(self, target):
        if self == new:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(path), "rename", killed)
        files.replace_folder(path, new)
    assert not path.exists()
    files.restore_folder(path)
    assert (path / "a.txt").read_text() == "old"
    files.restore_folder(path)  # nothing to undo
    files.replace_folder(path, new)
    assert (path / "a.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["html"]
    path.rename(new)
    files.replace_folder(path, new)  # the first
    assert (path / "a.txt").read_text() == "new"


def test_where_there_are_no_locks_files_are_written_and_the_library_computes(tmp_path):
    program = f"""
import sys
sys.modules["fcntl"] = None  # as on Windows
import rholaw as rl
import rholaw.book.workplace, rholaw.train.sweeps.store
from rholaw import files, tables
try:
    with files.locked({str(tmp_path)!r}): pass
except OSError as error:
    assert error.strerror.startswith("this system cannot lock files"), error
else:
    raise AssertionError("locked")
files.write({str(tmp_path / "a")!r}, str(rl.gmse("vq2_16").value > 0))
files.write({str(tmp_path / "a")!r}, str(len(tables.read("measured/gmse")) > 0))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "True"


def test_an_error_in_words_keeps_them(tmp_path):
    with pytest.raises(OSError, match=r"^the page ran out of ink$"), files.naming(tmp_path / "a"):
        raise OSError("the page ran out of ink")


def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path):
    assert files.writable(str(tmp_path / "a.txt")) == tmp_path / "a.txt"
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere to write a\.txt to"):
        files.writable(tmp_path / "nowhere" / "a.txt")
    with pytest.raises(ValueError, match="is a folder: name a file in it"):
        files.writable(tmp_path)
