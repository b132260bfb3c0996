from boreside.v1 import images_pb2 as _images_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("server",)
    SERVER_FIELD_NUMBER: _ClassVar[int]
    server: ServerInfo
    def __init__(self, server: _Optional[_Union[ServerInfo, _Mapping]] = ...) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("version", "epoch", "started_unix_ms", "now_unix_ms", "scanner_address", "n_sessions", "max_sessions", "hides_patients", "export_formats", "has_journal", "has_recordings", "n_images", "n_image_bytes", "max_image_bytes", "keeps_images_on_disk", "is_shutting_down")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    NOW_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SCANNER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    N_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    HIDES_PATIENTS_FIELD_NUMBER: _ClassVar[int]
    EXPORT_FORMATS_FIELD_NUMBER: _ClassVar[int]
    HAS_JOURNAL_FIELD_NUMBER: _ClassVar[int]
    HAS_RECORDINGS_FIELD_NUMBER: _ClassVar[int]
    N_IMAGES_FIELD_NUMBER: _ClassVar[int]
    N_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEEPS_IMAGES_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    IS_SHUTTING_DOWN_FIELD_NUMBER: _ClassVar[int]
    version: str
    epoch: str
    started_unix_ms: float
    now_unix_ms: float
    scanner_address: str
    n_sessions: int
    max_sessions: int
    hides_patients: bool
    export_formats: _containers.RepeatedScalarFieldContainer[_images_pb2.FileFormat]
    has_journal: bool
    has_recordings: bool
    n_images: int
    n_image_bytes: int
    max_image_bytes: int
    keeps_images_on_disk: bool
    is_shutting_down: bool
    def __init__(self, version: _Optional[str] = ..., epoch: _Optional[str] = ..., started_unix_ms: _Optional[float] = ..., now_unix_ms: _Optional[float] = ..., scanner_address: _Optional[str] = ..., n_sessions: _Optional[int] = ..., max_sessions: _Optional[int] = ..., hides_patients: _Optional[bool] = ..., export_formats: _Optional[_Iterable[_Union[_images_pb2.FileFormat, str]]] = ..., has_journal: _Optional[bool] = ..., has_recordings: _Optional[bool] = ..., n_images: _Optional[int] = ..., n_image_bytes: _Optional[int] = ..., max_image_bytes: _Optional[int] = ..., keeps_images_on_disk: _Optional[bool] = ..., is_shutting_down: _Optional[bool] = ...) -> None: ...
