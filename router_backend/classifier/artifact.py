"""The classifier's artifact in a model repository."""

from __future__ import annotations

from pathlib import Path

from router_backend.contract import MODEL_FILE, ArtifactMetadata, check_artifact


def newest_artifact(classifier: Path) -> Path:
    """Folder of the highest version, the one that `version_policy: latest` serves.

    Raises:
        FileNotFoundError: there is none.
    """
    folders = classifier.iterdir() if classifier.is_dir() else iter(())
    versions = [folder for folder in folders if folder.name.isdigit() and (folder / MODEL_FILE).is_file()]
    if not versions:
        raise FileNotFoundError(f"{classifier}: no version folder with {MODEL_FILE}; make one with `llm-router train`")
    return max(versions, key=lambda folder: int(folder.name))


def artifact_metadata(folder: Path) -> ArtifactMetadata:
    """The checked metadata of an artifact.

    Raises:
        ContractError: it doesn't fulfil the contract.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"])
    return check_artifact(folder, session.get_modelmeta().custom_metadata_map)
