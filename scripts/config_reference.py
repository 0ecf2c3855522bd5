"""Print the table of every config key, made from the models, as docs/configuration.md carries it.

python -m scripts.config_reference            prints it
python -m scripts.config_reference --write    puts it into docs/configuration.md
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent.config import Config
from agent.venues.deployments import AddressField

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
BEGIN, END = "<!-- keys: begin -->", "<!-- keys: end -->"
# A choice explains itself in the model; the page still wants a sentence.
MEANINGS = {"run.log_level": "the least severe log line that is written"}
PLAIN = {
    bool: "true or false",
    int: "integer",
    float: "number",
    Decimal: "decimal",
    Path: "path",
    SecretStr: "URL",
    str: "text",
}
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def table() -> str:
    """The whole table in Markdown, without a newline at its end."""
    rows = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in fields():
        meaning = (field.description or MEANINGS[key]).replace("|", "\\|")
        rows.append(f"| `{key}` | {type_of(field)} | {default_of(field)} | {meaning} |")
    return "\n".join(rows)


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every key, dotted, with its field, in the order of the models."""
    for section, part in Config.model_fields.items():
        model = cast(type[BaseModel], part.annotation)
        for name, field in model.model_fields.items():
            yield f"{section}.{name}", field


def type_of(field: FieldInfo) -> str:
    """The type in words, with its limits."""
    words = word(field.annotation, is_address=_is_address(field.metadata))
    limits = [
        f"{sign} {getattr(rule, name)}"
        for rule in field.metadata
        for name, sign in SIGNS.items()
        if getattr(rule, name, None) is not None
    ]
    return f"{words}, {' and '.join(limits)}" if limits else words


def word(annotation: object, *, is_address: bool = False) -> str:
    """A type as the page names it. Raises KeyError for one it has no name for."""
    if get_origin(annotation) in (Union, types.UnionType):
        (inner,) = [part for part in get_args(annotation) if part is not type(None)]
        return word(inner, is_address=is_address)
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return word(inner, is_address=_is_address(metadata))
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {word(get_args(annotation)[0])}"
    if get_origin(annotation) is Mapping:
        return "table of decimals by asset"
    return "address" if is_address else PLAIN[cast(type, annotation)]


def _is_address(metadata: Sequence[object]) -> bool:
    """Whether `agent.venues.deployments.AddressField` left its mark."""
    return any(rule in get_args(AddressField) for rule in metadata)


def default_of(field: FieldInfo) -> str:
    """The default as it would be written in the file."""
    value = field.default
    if value is PydanticUndefined:
        return "**needed**"
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping):
        return ", ".join(f"`{asset} = {width}`" for asset, width in value.items())
    return f"`{value}`"


def main(argv: list[str]) -> int:
    if argv == ["--write"]:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")
        return 0
    if argv:
        print(__doc__, file=sys.stderr)
        return 2
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
