from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "description", "is_built_in", "health", "provider", "runtime", "problem", "remedy", "sha256", "licence", "intended_use", "budget_ms")
    class Health(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        HEALTH_UNSPECIFIED: _ClassVar[Model.Health]
        HEALTH_NOT_LOADED: _ClassVar[Model.Health]
        HEALTH_LOADING: _ClassVar[Model.Health]
        HEALTH_READY: _ClassVar[Model.Health]
        HEALTH_REFUSED: _ClassVar[Model.Health]
    HEALTH_UNSPECIFIED: Model.Health
    HEALTH_NOT_LOADED: Model.Health
    HEALTH_LOADING: Model.Health
    HEALTH_READY: Model.Health
    HEALTH_REFUSED: Model.Health
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IS_BUILT_IN_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    INTENDED_USE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_MS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    description: str
    is_built_in: bool
    health: Model.Health
    provider: str
    runtime: str
    problem: str
    remedy: str
    sha256: str
    licence: str
    intended_use: str
    budget_ms: float
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., description: _Optional[str] = ..., is_built_in: _Optional[bool] = ..., health: _Optional[_Union[Model.Health, str]] = ..., provider: _Optional[str] = ..., runtime: _Optional[str] = ..., problem: _Optional[str] = ..., remedy: _Optional[str] = ..., sha256: _Optional[str] = ..., licence: _Optional[str] = ..., intended_use: _Optional[str] = ..., budget_ms: _Optional[float] = ...) -> None: ...
