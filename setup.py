"""The list of packages; everything else is in pyproject.toml, which can't give a folder outside a package another name."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["router_backend*", "classifier_training*", "llm_router*"]),
        # At the top of the checkout it is what Triton is pointed at; installed, it is data of the package.
        "router_backend.model_repository",
        # A distribution of its own (clients/pyproject.toml), but on no index yet that a dependency could name.
        "llm_router_client",
    ],
    package_dir={
        "router_backend.model_repository": "model_repository",
        "llm_router_client": "clients/llm_router_client",
    },
)
