"""A real tuspy client in a process of its own: it can be killed.

    python -m tests.stack.tus_client URL KEY FILE [UPLOAD_URL]

Prints the upload's URL, then every acknowledged offset.
"""

import sys

from tusclient.client import TusClient

CHUNK = 4 * 1024 * 1024


def main(url: str, key: str, path: str, upload_url: str = "") -> None:
    client = TusClient(f"{url}/uploads/tus/", {"Authorization": f"Bearer {key}"})
    uploader = client.uploader(
        path,
        chunk_size=CHUNK,
        url=upload_url or None,
        retries=40,
        retry_delay=0.25,
        metadata={"filename": "big.bin"},
    )
    if not upload_url:
        uploader.set_url(uploader.create_url())
    print(uploader.url, flush=True)
    uploader.offset = uploader.get_offset()
    print(uploader.offset, flush=True)
    while uploader.offset < uploader.get_file_size():
        uploader.upload_chunk()
        print(uploader.offset, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
