"""The command: `python -m classifier_training.data.public`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from classifier_training.data.public.fetching import fetch, fetch_answers
from classifier_training.data.public.lists import answer_sources, sources
from router_backend.user_files import DataError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where files are missing or not those of the list."""
    parser = argparse.ArgumentParser(
        prog="python -m classifier_training.data.public", description="Write labelled prompts of public collections."
    )
    parser.add_argument("out", type=Path, nargs="?", help="CSV file to write; without it the list is printed")
    parser.add_argument("--source", action="append", default=[], help="only this one; may be given several times")
    parser.add_argument("--from", dest="folder", type=Path, help="folder with the files; nothing is downloaded then")
    parser.add_argument("--answers", type=Path, help="folder to write recorded answers of models into, too")
    options = parser.parse_args(arguments)
    try:
        wanted, answered = sources(options.source), answer_sources()
        if options.out is None:
            for source in [*wanted, *answered]:
                how = ", with --source only" if source.only_by_name else ""
                sys.stdout.write(f"{source.name}: {source.licence}, {source.page}{how}\n")
                for file in source.files:
                    sys.stdout.write(f"  {file.name}  {file.url}  {file.sha256 or 'SHA-256 not known'}\n")
            return 0
        if not options.source:
            wanted = [source for source in wanted if not source.only_by_name]
        folder = options.folder or options.out.with_name(options.out.name + ".files")
        download = options.folder is None
        written = [fetch(wanted, options.out, folder, download)]
        if options.answers is not None:
            written.append(fetch_answers(answered, options.answers, folder, download))
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:  # of a file or folder to write
        sys.stderr.write(f"{error.filename or options.out}: {error.strerror or error}\n")
        return 1
    for found in written:
        for name, rows in found.rows.items():
            sys.stdout.write(f"{name}: {rows:,} prompts\n")
        for name, sha256 in found.hashes.items():
            sys.stdout.write(f"{name}: SHA-256 {sha256}\n")
    return 0


def run() -> int:
    """`main`, and 130 where it is interrupted or nobody reads on, as with `| head`."""
    try:
        code = main()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python says so when it ends
        return 130


if __name__ == "__main__":
    sys.exit(run())
