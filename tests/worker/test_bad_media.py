"""Media that is cut, empty, enormous, or a trick: a clear message, nothing else read."""

import av
import numpy as np
import pytest

from slipway_worker.errors import UserError
from slipway_worker.video import change_video
from tests.stack.stack import ROOT

CLIP = (ROOT / "samples" / "portrait-clip.mp4").read_bytes()
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>other.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>"
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def change(tmp_path, content):
    """Change a file that lies beside another one."""
    (tmp_path / "other.mp4").write_bytes(CLIP)
    source = tmp_path / "input"
    source.write_bytes(content)
    return change_video(source, tmp_path / "out.mp4", lambda x: x, lambda _: None)


def made(**options):
    """Return a little video, made here."""
    import io  # noqa: PLC0415

    kept = io.BytesIO()
    with av.open(kept, "w", format="mp4") as writer:
        stream = writer.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        for _ in range(options.get("frames", 3)):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return kept.getvalue()


def test_a_good_one_is_changed(tmp_path):
    assert change(tmp_path, made(frames=5)) == 5


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        CLIP[:100],
        CLIP[:2000],
        CLIP[: len(CLIP) // 2],
        CLIP.replace(b"moov", b"zzzz"),
        CLIP.replace(b"avc1", b"zzzz"),
        b"GIF89a" + b"\0" * 50,
        SVG.encode(),
    ],
)
def test_b51_damaged_media_is_the_users_error(tmp_path, content):
    with pytest.raises(UserError):
        change(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile 'other.mp4'\n",
        "ffconcat version 1.0\nfile '/etc/passwd'\n",
        PLAYLIST.format("other.mp4"),
        PLAYLIST.format("file:///etc/passwd"),
        PLAYLIST.format("http://127.0.0.1:1/x.ts"),
        PLAYLIST.format("concat:/etc/passwd|/etc/hosts"),
        DASH,
    ],
)
def test_b52_a_list_of_other_files_is_never_followed(tmp_path, content):
    with pytest.raises(UserError, match="cannot be read"):
        change(tmp_path, content.encode())


def test_an_error_names_no_file_of_the_worker(tmp_path):
    with pytest.raises(UserError) as error:
        change(tmp_path, CLIP[:2000])
    assert str(tmp_path) not in str(error.value)
