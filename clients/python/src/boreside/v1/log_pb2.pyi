from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LogLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOG_LEVEL_UNSPECIFIED: _ClassVar[LogLevel]
    LOG_LEVEL_DEBUG: _ClassVar[LogLevel]
    LOG_LEVEL_INFO: _ClassVar[LogLevel]
    LOG_LEVEL_WARNING: _ClassVar[LogLevel]
    LOG_LEVEL_ERROR: _ClassVar[LogLevel]
LOG_LEVEL_UNSPECIFIED: LogLevel
LOG_LEVEL_DEBUG: LogLevel
LOG_LEVEL_INFO: LogLevel
LOG_LEVEL_WARNING: LogLevel
LOG_LEVEL_ERROR: LogLevel

class TailLogRequest(_message.Message):
    __slots__ = ("min_level", "session", "n_lines", "follow")
    MIN_LEVEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    N_LINES_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    min_level: LogLevel
    session: int
    n_lines: int
    follow: bool
    def __init__(self, min_level: _Optional[_Union[LogLevel, str]] = ..., session: _Optional[int] = ..., n_lines: _Optional[int] = ..., follow: _Optional[bool] = ...) -> None: ...

class TailLogResponse(_message.Message):
    __slots__ = ("unix_ms", "level", "session", "gadget", "text", "n_dropped")
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    GADGET_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    N_DROPPED_FIELD_NUMBER: _ClassVar[int]
    unix_ms: float
    level: LogLevel
    session: int
    gadget: str
    text: str
    n_dropped: int
    def __init__(self, unix_ms: _Optional[float] = ..., level: _Optional[_Union[LogLevel, str]] = ..., session: _Optional[int] = ..., gadget: _Optional[str] = ..., text: _Optional[str] = ..., n_dropped: _Optional[int] = ...) -> None: ...
