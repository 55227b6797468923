"""Kinds of parameters: numbers, switches, paths and sections, and what each refuses."""

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

NO_PATH = "data/none"
"""A committed empty file that stands for no path: every path is a dependency, and DVC takes no empty one."""


def _refuse_bool_and_text(value: Any) -> Any:
    # Pydantic would take `yes` for 1 and "2e-4" for a number; in a params file both are mistakes.
    if isinstance(value, (bool, str)):
        raise ValueError("must be a number")
    return value


Int = Annotated[int, BeforeValidator(_refuse_bool_and_text)]
Float = Annotated[float, BeforeValidator(_refuse_bool_and_text), Field(allow_inf_nan=False)]
Beta = Annotated[Float, Field(ge=0, lt=1)]
Weight = Annotated[Float, Field(ge=0, le=1e6)]
StepCount = Annotated[Int, Field(ge=1, le=10**8)]
ImageCount = Annotated[Int, Field(ge=100, le=10**6)]


def _refuse_all_but_bool(value: Any) -> Any:
    if not isinstance(value, bool):
        raise ValueError("must be true or false, unquoted")
    return value


Bool = Annotated[bool, BeforeValidator(_refuse_all_but_bool)]


def _refuse_no_path(value: Any) -> Any:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a path; {NO_PATH} stands for none")
    return value


def _refuse_control_characters(value: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ValueError("holds a character that no name has, such as a line's end; leave it out")
    if value.startswith("~"):
        raise ValueError("~ is no folder here, as DVC reads the path too: write it out, from / on")
    return value


PathText = Annotated[
    str, BeforeValidator(_refuse_no_path), Field(max_length=500), AfterValidator(_refuse_control_characters)
]
ClassName = Annotated[str, Field(max_length=255)]


class Section(BaseModel):
    """A group of parameters: every key is required, unknown ones are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
