from __future__ import annotations

import numpy as np
import pytest

from gasp.datasets import FindWhoSet
from gasp.errors import InputError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "011.mp4").touch()
    (tmp_path / "videos.csv").write_text(
        "video,width,height,fps,frames,has_audio,first_frame_s\n011,1280,720,25,100,1,1.08\n012,1280,720,25,9,1,0\n"
    )
    (tmp_path / "fixations.csv").write_text(
        "video,observer,onset_ms,duration_ms,x,y\n"
        "011,1,0,1099,10,20\n011,2,1000,200,30,40\n011,3,1100,1000,1280,720\n"
        "011,4,0,5000,1281,1\n011,5,0,1000,nan,3\n012,1,0,1000,1,1\nxyz,1,0,1000,1,1\n"
    )
    (tmp_path / "faces.csv").write_text(
        "video,frame,face,x1,y1,x2,y2,points\n011,0,0,830,239,925,335,39\n011,2,1,5,5,5,9,68\nxyz,0,0,1,1,2,2,68\n"
    )
    return tmp_path


def test_fixations_of_a_picture_follow_the_containers_clock(folder):
    videos = FindWhoSet(folder)
    assert (len(videos), videos.ids) == (1, ["011"])
    assert videos.videos["011"].time(0) == pytest.approx(1.10)
    assert set(videos.fixations_at("011", 0).observer) <= {2, 3}
    assert list(videos.fixations_at("011", 1).observer) == [2, 3]
    assert list(videos.fixations_at("011", 3).observer) == [3]
    assert len(videos.fixations_at("011", 50)) == 0


def test_maps_and_faces_of_a_picture(folder):
    videos = FindWhoSet(folder)
    counts = videos.fixation_map_at("011", 3).counts
    assert (counts.shape, counts[719, 1279], counts.sum()) == ((720, 1280), 1, 1)
    density = videos.density_at("011", 3).values
    assert density[719 - 33, 1279] / density[719, 1279] == pytest.approx(0.5), (
        "66 pixels wide at half maximum"
    )
    (face,) = videos.faces("011", 0)
    assert (face.box, face.points) == ((830, 239, 925, 335), 39)
    assert videos.faces("011", 2) == []
    with pytest.raises(InputError, match="no fixation"):
        videos.density_at("011", 50)


def test_what_cannot_be_used_is_counted(folder):
    assert FindWhoSet(folder).skipped == {
        "missing videos": 1,
        "fixations without video": 1,
        "fixations lost": 1,
        "fixations outside": 1,
        "faces without extent": 1,
        "faces without video": 1,
    }


def test_errors_name_what_is_wrong(folder):
    with pytest.raises(InputError, match="no video '099'"):
        FindWhoSet(folder).fixations("099")
    (folder / "fixations.csv").write_text("video,observer,onset_ms,duration_ms,x,y\n011,1,soon,1,1,1\n")
    with pytest.raises(InputError, match="'onset_ms' holds 'soon'"):
        FindWhoSet(folder)
    (folder / "videos.csv").write_text(
        "video,width,height,fps,frames,has_audio,first_frame_s\n011,1280,720,0,1,1,0\n"
    )
    with pytest.raises(InputError, match="rate"):
        FindWhoSet(folder)
    (folder / "videos" / "011.mp4").unlink()
    with pytest.raises(InputError, match="not a folder"):
        FindWhoSet(folder / "none")


def test_an_empty_list_of_fixations_is_allowed(folder):
    (folder / "fixations.csv").write_text("video,observer,onset_ms,duration_ms,x,y\n")
    assert FindWhoSet(folder).fixation_map_at("011", 0).counts.sum() == 0
    assert np.isfinite(FindWhoSet(folder).videos["011"].time(5))
