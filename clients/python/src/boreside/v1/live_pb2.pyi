from boreside.v1 import images_pb2 as _images_pb2
from boreside.v1 import sessions_pb2 as _sessions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchRequest(_message.Message):
    __slots__ = ("epoch", "after_sequence", "session", "inline_pixels_up_to_bytes", "inline_pictures_up_to_index")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    INLINE_PIXELS_UP_TO_BYTES_FIELD_NUMBER: _ClassVar[int]
    INLINE_PICTURES_UP_TO_INDEX_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    after_sequence: int
    session: int
    inline_pixels_up_to_bytes: int
    inline_pictures_up_to_index: int
    def __init__(self, epoch: _Optional[str] = ..., after_sequence: _Optional[int] = ..., session: _Optional[int] = ..., inline_pixels_up_to_bytes: _Optional[int] = ..., inline_pictures_up_to_index: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("sequence", "unix_ms", "hello", "reset", "caught_up", "session", "image", "images_removed", "alive")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    CAUGHT_UP_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_REMOVED_FIELD_NUMBER: _ClassVar[int]
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    unix_ms: float
    hello: Hello
    reset: Reset
    caught_up: CaughtUp
    session: _sessions_pb2.Session
    image: NewImage
    images_removed: ImagesRemoved
    alive: Alive
    def __init__(self, sequence: _Optional[int] = ..., unix_ms: _Optional[float] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., caught_up: _Optional[_Union[CaughtUp, _Mapping]] = ..., session: _Optional[_Union[_sessions_pb2.Session, _Mapping]] = ..., image: _Optional[_Union[NewImage, _Mapping]] = ..., images_removed: _Optional[_Union[ImagesRemoved, _Mapping]] = ..., alive: _Optional[_Union[Alive, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("epoch", "version")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    version: str
    def __init__(self, epoch: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("reason",)
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[Reset.Reason]
        REASON_NEW: _ClassVar[Reset.Reason]
        REASON_RESTARTED: _ClassVar[Reset.Reason]
        REASON_LAGGED: _ClassVar[Reset.Reason]
    REASON_UNSPECIFIED: Reset.Reason
    REASON_NEW: Reset.Reason
    REASON_RESTARTED: Reset.Reason
    REASON_LAGGED: Reset.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: Reset.Reason
    def __init__(self, reason: _Optional[_Union[Reset.Reason, str]] = ...) -> None: ...

class CaughtUp(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NewImage(_message.Message):
    __slots__ = ("image", "pixels")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    image: _images_pb2.Image
    pixels: _images_pb2.Pixels
    def __init__(self, image: _Optional[_Union[_images_pb2.Image, _Mapping]] = ..., pixels: _Optional[_Union[_images_pb2.Pixels, _Mapping]] = ...) -> None: ...

class ImagesRemoved(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class Alive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
