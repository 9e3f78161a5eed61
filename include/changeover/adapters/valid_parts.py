"""What of a faulty document is valid all the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from changeover.adapters.yaml_text import Path, YamlText

Model = TypeVar("Model", bound=BaseModel)


def valid_parts(document: YamlText, model: type[Model], *, within: Collection[str]) -> Model | None:
    """The document without its faulty parts: those attributes are missing, even where the schema has a default.

    Of a key in `within` the valid parts are kept one by one (a mapping, or a list of mappings), any other is kept
    whole or not at all. None where nothing of the document can be read.
    """
    if document.broken or not isinstance(document.data, dict):
        return None
    return _parts(document, model, document.data, (), within)


_FAULTY: Any = object()


def _parts(
    document: YamlText, model: type[Model], data: Mapping[str, Any], path: Path, within: Collection[str]
) -> Model:
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name in data:
            found[name] = _part(document, field, data[name], (*path, name), within=name in within)
        elif field.is_required():
            found[name] = _FAULTY
    part = model.model_construct(**{name: value for name, value in found.items() if value is not _FAULTY})
    for name, value in found.items():
        if value is _FAULTY:
            part.__dict__.pop(name, None)
    return part


def _part(document: YamlText, field: FieldInfo, data: Any, path: Path, *, within: bool) -> Any:
    if not any(refused[: len(path)] == path for refused in document.refused):
        form: Any = Annotated[field.annotation, field]
        try:
            return TypeAdapter(form).validate_python(data)
        except ValidationError:
            pass
    inner = next((part for part in (field.annotation, *get_args(field.annotation)) if _is_document(part)), None)
    if not within or inner is None:
        return _FAULTY
    if isinstance(data, dict):
        return _parts(document, inner, data, path, ())
    if isinstance(data, list):
        entries = (entry if isinstance(entry, dict) else {} for entry in data)
        return tuple(_parts(document, inner, entry, (*path, at), ()) for at, entry in enumerate(entries))
    return _FAULTY


def _is_document(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)
