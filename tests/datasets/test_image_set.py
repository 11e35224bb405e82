from __future__ import annotations

import cv2
import numpy as np
import pytest

from gasp.datasets import ImageSet
from gasp.errors import InputError


@pytest.fixture
def folder(tmp_path):
    """Two images of 8 x 4 pixels, the second without fixations; one row of images.csv has no file."""
    (tmp_path / "images").mkdir()
    red = np.zeros((4, 8, 3), np.uint8)
    red[..., 2] = 255
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), red)
    (tmp_path / "images.csv").write_text("id,width,height,original_width\na,8,4,16\ngone,8,4,16\nb,8,4,16\n")
    fixations(tmp_path)
    (tmp_path / "faces.csv").write_text(
        "id,left,top,width,height,frontal,profile,back,occluded\n"
        "a,0.25,0.5,0.5,0.25,0,1,0,1\nz,0,0,1,1,1,0,0,0\na,0,0,0,0,1,0,0,0\n"
    )
    return tmp_path


def fixations(folder, **changes):
    table = {
        "image": np.array([0, 1, 0, 0, 0, 9], np.int16),
        "observer": np.array([3, 1, 4, 0, 0, 0], np.int8),
        "order": np.array([0, 0, 1, 0, 0, 0], np.int16),
        "x": np.array([0.5, 0.5, 0.99, np.nan, 1.01, 0.5], np.float32),
        "y": np.array([0.25, 0.5, 0.0, 0.5, 0.5, 0.5], np.float32),
        "duration_ms": np.array([200, 100, 300, 1, 1, 1], np.float32),
    }
    np.savez(folder / "fixations.npz", **(table | changes))


def test_reads_images_fixations_and_faces(folder):
    images = ImageSet(folder)
    assert (len(images), images.ids, images.size(0)) == (2, ["a", "b"], (4, 8))
    picture = images.image(0)
    assert (picture.dtype, picture.shape) == (np.uint8, (4, 8, 3))
    assert picture[..., 0].min() > 200 > 50 > picture[..., 2].max(), "RGB, not BGR"
    found = images.fixations(0)
    np.testing.assert_allclose(found.x, [4, 7.92], rtol=1e-6)
    np.testing.assert_allclose(found.y, [1, 0])
    np.testing.assert_allclose(found.duration, [0.2, 0.3])
    assert (list(found.observer), list(found.order)) == ([3, 4], [0, 1])
    assert len(images.fixations(1)) == 0
    assert images.fixation_map(0).counts[1, 4] == 1
    assert images.density(0).values.sum() == pytest.approx(1)
    (face,) = images.faces(0)
    assert face.box == (2, 2, 6, 3)
    assert (face.frontal, face.profile, face.back, face.occluded) == (False, True, False, True)
    assert images.faces(1) == []


def test_what_cannot_be_used_is_counted(folder):
    assert ImageSet(folder).skipped == {
        "missing images": 1,
        "fixations without image": 1,
        "fixations lost": 1,
        "fixations outside": 1,
        "faces without image": 1,
        "faces without extent": 1,
    }


def test_faces_are_optional(folder):
    (folder / "faces.csv").unlink()
    assert ImageSet(folder).faces(0) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        ImageSet(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"images\.csv does not exist"):
        ImageSet(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,width\na,8\n", "height"),
        ("id,width,height\na,8,wide\n", "'height' holds 'wide'"),
        ("id,width,height\na,8,4\na,8,4\n", "twice"),
        ("id,width,height\n../a,8,4\n", "plain file name"),
        ("id,width,height\na,8,0\n", "8 x 0"),
        ("id,width,height\n", "no image"),
        ("id,width,height\nc,8,4\n", "none of the 1 images"),
    ],
)
def test_a_damaged_list_of_images_is_named(folder, text, message):
    (folder / "images.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        ImageSet(folder)


def test_damaged_fixations_are_named(folder):
    fixations(folder, x=np.zeros(3))
    with pytest.raises(InputError, match="one length"):
        ImageSet(folder)
    (folder / "fixations.npz").write_bytes(b"not an archive")
    with pytest.raises(InputError, match="NPZ"):
        ImageSet(folder)
    np.savez(folder / "fixations.npz", image=np.array([{}], object))
    with pytest.raises(InputError, match="lacks"):
        ImageSet(folder)


def test_damaged_pictures_are_named(folder):
    (folder / "images" / "a.jpg").write_bytes(b"")
    cv2.imwrite(str(folder / "images" / "b.jpg"), np.zeros((5, 8, 3), np.uint8))
    images = ImageSet(folder)
    with pytest.raises(InputError, match=r"a\.jpg"):
        images.image(0)
    with pytest.raises(InputError, match="8 x 5 pixels, but"):
        images.image(1)
