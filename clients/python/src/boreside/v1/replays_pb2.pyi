from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PACE_UNSPECIFIED: _ClassVar[Pace]
    PACE_MAX: _ClassVar[Pace]
    PACE_REALTIME: _ClassVar[Pace]
PACE_UNSPECIFIED: Pace
PACE_MAX: Pace
PACE_REALTIME: Pace

class ListRecordingsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRecordingsResponse(_message.Message):
    __slots__ = ("recordings",)
    RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    recordings: _containers.RepeatedCompositeFieldContainer[Recording]
    def __init__(self, recordings: _Optional[_Iterable[_Union[Recording, _Mapping]]] = ...) -> None: ...

class Recording(_message.Message):
    __slots__ = ("session", "file", "n_bytes", "modified_unix_ms")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    N_BYTES_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    session: int
    file: str
    n_bytes: int
    modified_unix_ms: float
    def __init__(self, session: _Optional[int] = ..., file: _Optional[str] = ..., n_bytes: _Optional[int] = ..., modified_unix_ms: _Optional[float] = ...) -> None: ...

class StartReplayRequest(_message.Message):
    __slots__ = ("session", "file", "chain", "pace")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    PACE_FIELD_NUMBER: _ClassVar[int]
    session: int
    file: str
    chain: str
    pace: Pace
    def __init__(self, session: _Optional[int] = ..., file: _Optional[str] = ..., chain: _Optional[str] = ..., pace: _Optional[_Union[Pace, str]] = ...) -> None: ...

class StartReplayResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: int
    def __init__(self, session: _Optional[int] = ...) -> None: ...
