"""What every section of `router.yaml` shares: unknown keys are refused, values are immutable, numbers are finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag, ValidationInfo

from router_backend.contract import TASKS, unusable_task

TAG = "name="
"""In front of a name where it stands for a variant of a section, in the `loc` of an error: no setting begins so."""


class Section(BaseModel):
    """A mapping in `router.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    example: ClassVar[str] = ""
    """YAML of one such section, for the reference."""


class Mistake(ValueError):
    """A mistake that a section finds in its settings; `loc` leads from the section to it."""

    def __init__(self, message: str, *loc: int | str) -> None:
        super().__init__(message)
        self.loc = loc


def variant(name: str) -> Tag:
    """Marks the section that `name: <name>` stands for, in a union."""
    return Tag(TAG + name)


def by_name() -> Discriminator:
    """Chooses a section of a union by its setting `name`."""
    return Discriminator(
        lambda value: TAG + str(value["name"] if isinstance(value, Mapping) else getattr(value, "name", ""))
    )


def named(kind: str, default: str, names: Sequence[str]) -> BeforeValidator:
    """Fills in the name where it is left out, and refuses one that stands for nothing."""

    def checked(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        name = value.get("name", default)
        if name not in names:
            raise Mistake(f"no {kind} is called {name!r}; there are {', '.join(names)}", "name")
        return {**value, "name": name}

    return BeforeValidator(checked)


OWN_TASKS = "tasks"
"""Key of a validation's context: the names of `tasks` of the same file."""


def _task(name: str, info: ValidationInfo) -> str:
    known = (*TASKS, *(info.context or {}).get(OWN_TASKS, ()))
    if name not in known:
        raise ValueError(
            f"unknown task; tasks are {', '.join(known)}, and those of a classifier of your own that `tasks` names"
        )
    return name


def _own_task(name: str) -> str:
    if wrong := unusable_task(name):
        raise ValueError(wrong)
    return name


OwnTask = Annotated[str, AfterValidator(_own_task)]
TaskName = Annotated[str, AfterValidator(_task)]
