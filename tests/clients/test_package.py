"""The package as it is installed: on its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from llm_router_client import TASKS
from router_backend import contract

CLIENTS = Path(__file__).resolve().parents[2] / "clients"


def test_tasks_are_those_of_the_contract() -> None:
    assert tuple(contract.TASKS) == TASKS


def test_nothing_of_the_router_is_imported_nor_grpc_before_it_is_used() -> None:
    code = (
        "import sys, llm_router_client, llm_router_client.connect as c\n"
        "c.connect('http://127.0.0.1:1', '', 1, 1)\n"
        "assert not {'router_backend', 'grpc', 'tritonclient', 'numpy'} & set(sys.modules)\n"
        "c.connect('triton+grpc://127.0.0.1:1', '', 1, 1)\n"
        "assert 'router_backend' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=CLIENTS, env={"PYTHONPATH": str(CLIENTS)}, check=True)
