"""Pictures of the table: new names, and nothing of another scan is touched."""

from pathlib import Path

from autophasenn.live.thumbnails import KEPT, new_thumbnail, newest_thumbnail, remove_older


def test_the_newest_pictures_of_a_scan_stay_and_those_of_others_are_not_touched(tmp_path: Path) -> None:
    mine, other = tmp_path / "S0054", tmp_path / "S0054-2"
    for folder in (mine, other):
        folder.mkdir()
        for name in (
            "thumbnail-1000000000001.png",
            "thumbnail-1000000000002.png",
            "thumbnail-1000000000003.png",
            "crystal-1.png",
        ):
            (folder / name).touch()
    new = new_thumbnail(mine)
    assert not new.exists()
    new.touch()
    remove_older(new)
    kept = sorted(path.name for path in mine.glob("thumbnail-*"))
    assert kept == ["thumbnail-1000000000003.png", new.name]
    assert len(kept) == KEPT
    assert (mine / "crystal-1.png").exists()
    assert len(list(other.iterdir())) == 4


def test_a_picture_that_is_gone_has_a_newer_one_and_other_files_have_none(tmp_path: Path) -> None:
    (tmp_path / "thumbnail-7.png").touch()
    assert newest_thumbnail(tmp_path / "thumbnail-3.png") == tmp_path / "thumbnail-7.png"
    assert newest_thumbnail(tmp_path / "overview.png") is None
    assert newest_thumbnail(tmp_path / "none" / "thumbnail-3.png") is None
