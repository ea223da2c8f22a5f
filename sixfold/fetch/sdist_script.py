"""A script that ``archives.py`` runs in a process of its own: download a source distribution, run none of it.

``pip download`` (like ``pip install --dry-run``) runs a source distribution's build backend to learn its
metadata, so it is no use here. pip is still the one that knows the user's index, mirrors, proxies,
certificates and credentials; so this borrows its package finder and its session, and saves the archive.
``pip index`` is the command of pip that does the same up to the link, hence the class it derives from.

    python -P sdist_script.py NAME VERSION FOLDER MAX_BYTES

It imports nothing of sixfold, and is never imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pip._internal.commands.index import IndexCommand
from pip._internal.exceptions import DistributionNotFound, PipError
from pip._internal.utils.misc import redact_auth_from_url


class DownloadSdist(IndexCommand):
    """``run`` gets NAME VERSION FOLDER MAX_BYTES; pip's own flags, environment and configuration hold."""

    def run(self, options: Any, args: list[str]) -> int:
        name, version, folder, limit = args
        with self._build_session(options) as session:
            finder = self._build_package_finder(options=options, session=session, ignore_requires_python=True)
            links = [
                candidate.link
                for candidate in finder.find_all_candidates(name)
                if str(candidate.version) == version
                and not candidate.link.is_wheel
                and candidate.link.filename.endswith(".tar.gz")
            ]
            if not links:
                raise DistributionNotFound(f"No source distribution of {name}=={version} was found")
            link = links[0]
            # "identity": a server that offers gzip again would hand out other bytes than the archive's.
            response = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
            if response.status_code != 200:
                raise PipError(f"HTTP {response.status_code} for {redact_auth_from_url(link.url)}")
            write(response, Path(folder) / Path(link.filename).name, int(limit))
        return 0


def write(response: Any, path: Path, limit: int) -> None:
    total = 0
    with open(path, "wb") as file:
        for chunk in response.iter_content(1 << 20):
            total += len(chunk)
            if total > limit:
                raise PipError(f"the archive is larger than {limit} bytes")
            file.write(chunk)


if __name__ == "__main__":
    sys.exit(DownloadSdist("index", "download a source distribution").main(sys.argv[1:]))
