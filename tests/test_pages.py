"""Pages that need nothing beside them, and arrays as pictures in them."""

import base64
import json
import re

import numpy as np
import pytest
from browser import browser, opened, overflowing
from extras import needs

from minicaffe.io.image import decode
from minicaffe.pages import heat_map, image, page


def pixels(url):
    needs("cv2")
    return decode(base64.b64decode(url.removeprefix("data:image/png;base64,")), "a picture", color=True)


def test_heat_map_colours():
    """Blue is negative, white 0, red positive, and black no number; the largest has the full colour."""
    url, width, height = heat_map(np.array([[-2.0, 0.0, 2.0], [1.0, np.nan, np.inf]]))
    got = pixels(url)  # blue, green, red

    assert (3, 2) == (width, height)
    assert (172, 102, 33) == tuple(got[:, 0, 0])
    assert (247, 247, 247) == tuple(got[:, 0, 1])
    assert (43, 24, 178) == tuple(got[:, 0, 2])
    assert [0] * 6 == [*got[:, 1, 1], *got[:, 1, 2]]
    assert 24 < got[1, 1, 0] < 247


def test_a_large_matrix_keeps_its_extremes():
    """A single large number of 300 × 200 is still seen."""
    values = np.zeros((300, 200))
    values[211, 103] = -5
    url, width, height = heat_map(values, largest=50)

    assert (50, 50) == (width, height)
    assert 1 == (pixels(url)[2] == 33).sum()


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_images(shape):
    """An image comes back as it went in, grey or in Caffe's order of the channels."""
    given = np.random.default_rng(1).integers(256, size=shape, dtype=np.uint8)
    url, width, height = image(given)

    assert (5, 4) == (width, height)
    assert np.array_equal(pixels(url), np.broadcast_to(given, (3, 4, 5)))


def test_data_cannot_end_its_script():
    """Names that hold HTML stay data, and what JSON cannot hold is refused."""
    text = page("<b>&", "<p>body</p>", data={"name": "</script><script>alert(1)"})

    assert "<title>&lt;b&gt;&amp;</title>" in text
    held = re.search(r'id="data">(.*?)</script>', text)[1]
    assert {"name": "</script><script>alert(1)"} == json.loads(held)
    with pytest.raises(ValueError, match="JSON"):
        page("", "", data=[float("nan")])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(tmp_path, scheme):
    """The script runs and reads the data, in the colours that the system asks for."""
    script = 'document.querySelector("p").textContent = JSON.parse(document.getElementById("data").textContent).word;'
    file = tmp_path / "page.html"
    file.write_text(page("A page", "<main><p></p></main>", scripts=[script], data={"word": "β"}), encoding="utf-8")
    with browser() as chromium, opened(chromium, file, scheme=scheme) as shown:
        assert "β" == shown.text_content("p")
        assert [] == overflowing(shown)
        colour = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme] == colour
