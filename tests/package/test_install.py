"""Both packages as their users get them: built, installed without the checkout, started from another folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.running import PROJECT, RunningSystem

pytestmark = pytest.mark.slow
# A name that a command line must quote and that ASCII doesn't have.
FOLDER = "state of träning"


def copied_checkout(folder: Path) -> Path:
    """The checkout's files that packages are built from."""
    tracked = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT
    )
    for name in filter(None, tracked.decode().split("\0")):
        if (PROJECT / name).is_file() and not name.startswith(("tests/", "docs/", "helm/")):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((PROJECT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheel and source archive of both packages, built from copies: a build leaves files behind."""
    folder = tmp_path_factory.mktemp("dist")
    checkout = copied_checkout(tmp_path_factory.mktemp("source"))
    for source in (checkout, checkout / "clients"):
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def serving_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the images that serve install, by the commands of the Dockerfile."""
    source, target = copied_checkout(tmp_path_factory.mktemp("image")), tmp_path_factory.mktemp("wheels")
    stage = (PROJECT / "Dockerfile").read_text().partition(" AS wheels\n")[2].partition("\nFROM ")[0]
    script = stage.partition("\nRUN ")[2].partition("\n\n")[0]
    script = script.replace("/wheels", str(target)).replace(
        "pip wheel", f"{sys.executable} -m pip wheel --no-build-isolation --quiet"
    )
    subprocess.run(script, shell=True, cwd=source, env=environment(), check=True, timeout=300)
    (wheel,) = (target / "serving").glob("*.whl")
    return wheel


def installed(what: Path, folder: Path, *options: str) -> Path:
    """The interpreter of an environment that holds the wheel or checkout, and what it depends on by reference to this one's."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    python = folder / "bin/python"
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # Python 3.11's environments have a setuptools that is too old to build the project.
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools"], check=True, timeout=120)
    command = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", *options, what]
    subprocess.run(command, env=environment(), check=True, timeout=300)
    return python


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and not k.startswith("LLM_ROUTER_")}


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", ["triton_llm_router", "llm_router_client"])
def test_a_wheel_has_types_licence_and_the_version_of_its_project_file(distributions: Path, name: str) -> None:
    source = PROJECT if name == "triton_llm_router" else PROJECT / "clients"
    (version,) = re.findall(r'^version = "(.*)"$', (source / "pyproject.toml").read_text(), re.M)
    with zipfile.ZipFile(distributions / f"{name}-{version}-py3-none-any.whl") as wheel:
        files = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(f"{name}-{version}.dist-info/METADATA").decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{name}-{version}.dist-info/licenses/LICENSE" in files
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert "llm_router_client/py.typed" in files
    assert not [file for file in files if "__pycache__" in file or file.startswith(("tests", "build"))]


def test_the_source_archive_builds_the_same_wheel(distributions: Path, tmp_path: Path) -> None:
    (archive,) = distributions.glob("triton_llm_router-*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "again", folder]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    contents = [
        {item.filename: item.CRC for item in zipfile.ZipFile(wheel).infolist() if ".dist-info/" not in item.filename}
        for wheel in (*distributions.glob("triton_llm_router-*.whl"), *(tmp_path / "again").glob("*.whl"))
    ]
    assert contents[0] == contents[1]


def test_the_wheel_holds_every_file_that_triton_serves(distributions: Path) -> None:
    tracked = subprocess.check_output(["git", "ls-files", "model_repository"], cwd=PROJECT, text=True).splitlines()
    (wheel,) = distributions.glob("triton_llm_router-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {f"router_backend/{name}" for name in tracked} <= packed


def test_an_image_that_serves_says_what_it_leaves_out(serving_wheel: Path, tmp_path: Path) -> None:
    python = installed(serving_wheel, tmp_path / "venv")
    (tmp_path / "data.csv").write_text("prompt,task,a__score,a__cost\n")
    for command, package in (
        ("replay data.csv", "router_backend.lab"),
        ("train --out artifact", "classifier_training"),
    ):
        done = run(python, "-m", "router_backend.cli.main", *command.split(), cwd=tmp_path)
        assert done.returncode == 1
        assert f"{package} is not installed here, where only the router serves" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["wheel", "clone"])
def test_a_message_about_what_is_missing_is_a_command_that_installs_it(
    kind: str, distributions: Path, tmp_path: Path
) -> None:
    if kind == "wheel":
        (what,) = distributions.glob("triton_llm_router-*.whl")
        python = installed(what, tmp_path / "venv")
    else:
        what = copied_checkout(tmp_path / "clone")
        python = installed(what, tmp_path / "venv", "--no-build-isolation", "--editable")
    (site,) = (tmp_path / "venv/lib").glob("python3*/site-packages")
    everything, all_but_one = Path(sysconfig.get_path("purelib")), tmp_path / "dependencies"
    all_but_one.mkdir()
    for path in everything.iterdir():
        if not path.name.startswith(("obstore", "triton_llm_router", "__editable__")):
            (all_but_one / path.name).symlink_to(path)
    (site / "dependencies.pth").write_text(f"{all_but_one}\n")
    place, before = "s3://bucket/batches", (python.with_name("llm-router").read_text(), sorted(site.glob("*router*")))
    code = f"from router_backend.gateway.batches.storage.open import open_objects; open_objects({place!r}, None)"
    said = run(python, "-c", code, cwd=tmp_path).stderr.splitlines()[-1]
    command = said.partition("package obstore: ")[2]
    assert command.startswith(str(python))

    # The index is a folder that has what is missing, and no router.
    index = {**environment(), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packed("obstore", "0.99", tmp_path / "index"))}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=index, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(python, "-c", "import obstore; print(obstore.__file__)", cwd=tmp_path).stdout.startswith(str(site))
    assert (python.with_name("llm-router").read_text(), sorted(site.glob("*router*"))) == before


def packed(name: str, version: str, folder: Path) -> Path:
    """A folder with a wheel of one empty module."""
    folder.mkdir()
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD")))
    return folder


def test_the_client_installs_alone(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("llm_router_client-*.whl")
    target = tmp_path / "packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel]
    subprocess.run(command, check=True, timeout=120)
    code = (
        "import sys, llm_router_client\n"
        "llm_router_client.RouterClient('http://127.0.0.1:1').close()\n"
        "assert 'router_backend' not in sys.modules\n"
        "print(llm_router_client.__file__)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(target))


def test_an_installed_router_answers_from_any_folder(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("triton_llm_router-*.whl")
    python = installed(wheel, tmp_path / "venv")
    before = {path: path.stat().st_mtime_ns for path in python.parents[1].rglob("*") if path.is_file()}
    running = RunningSystem(
        tmp_path / FOLDER, program=(str(python.with_name("llm-router")),), environment_of_program=environment()
    )
    running.start()
    try:
        asked = run(
            python,
            *("-m", "router_backend.cli.main", "route", "Write a haiku", "--triton", running.grpc),
            cwd=tmp_path,
        )
        assert asked.returncode == 0, asked.stderr
        assert "llama3-8b" in asked.stdout or "nemotron-49b" in asked.stdout or "llama3-70b" in asked.stdout
        # What it depends on lies in this environment, which may be a folder of the checkout.
        commands = [command.replace(sys.prefix, "") for command in running.pids().values()]
        assert commands
        assert not [command for command in commands if str(PROJECT) in command]
    finally:
        running.stop()
    written = {path for path in python.parents[1].rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    changed = {path for path in written if path.stat().st_mtime_ns != before.get(path)}
    assert not changed, "state belongs into the state folder"
