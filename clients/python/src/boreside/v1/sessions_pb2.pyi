from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_OPENING: _ClassVar[SessionState]
    SESSION_STATE_RECEIVING: _ClassVar[SessionState]
    SESSION_STATE_FINISHING: _ClassVar[SessionState]
    SESSION_STATE_ENDED: _ClassVar[SessionState]
    SESSION_STATE_FAILED: _ClassVar[SessionState]

class JournalState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOURNAL_STATE_UNSPECIFIED: _ClassVar[JournalState]
    JOURNAL_STATE_KEPT: _ClassVar[JournalState]
    JOURNAL_STATE_NONE: _ClassVar[JournalState]
    JOURNAL_STATE_STOPPED: _ClassVar[JournalState]
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_OPENING: SessionState
SESSION_STATE_RECEIVING: SessionState
SESSION_STATE_FINISHING: SessionState
SESSION_STATE_ENDED: SessionState
SESSION_STATE_FAILED: SessionState
JOURNAL_STATE_UNSPECIFIED: JournalState
JOURNAL_STATE_KEPT: JournalState
JOURNAL_STATE_NONE: JournalState
JOURNAL_STATE_STOPPED: JournalState

class ListSessionsRequest(_message.Message):
    __slots__ = ("live_only", "limit")
    LIVE_ONLY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    live_only: bool
    limit: int
    def __init__(self, live_only: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("id", "state", "peer", "started_unix_ms", "ended_unix_ms", "end_reason", "chain", "chain_description", "gadgets", "protocol", "patient", "n_readouts", "n_readouts_expected", "n_bytes_in", "n_bytes_out", "n_images", "last_readout_unix_ms", "last_image_unix_ms", "notices", "n_warnings", "n_errors", "journal", "replay", "queues")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    STARTED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    CHAIN_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    GADGETS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    N_READOUTS_FIELD_NUMBER: _ClassVar[int]
    N_READOUTS_EXPECTED_FIELD_NUMBER: _ClassVar[int]
    N_BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    N_BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    N_IMAGES_FIELD_NUMBER: _ClassVar[int]
    LAST_READOUT_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_IMAGE_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    N_WARNINGS_FIELD_NUMBER: _ClassVar[int]
    N_ERRORS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    id: int
    state: SessionState
    peer: str
    started_unix_ms: float
    ended_unix_ms: float
    end_reason: str
    chain: str
    chain_description: str
    gadgets: _containers.RepeatedCompositeFieldContainer[GadgetFigures]
    protocol: Protocol
    patient: Patient
    n_readouts: int
    n_readouts_expected: int
    n_bytes_in: int
    n_bytes_out: int
    n_images: int
    last_readout_unix_ms: float
    last_image_unix_ms: float
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    n_warnings: int
    n_errors: int
    journal: JournalState
    replay: str
    queues: _containers.RepeatedCompositeFieldContainer[QueueFill]
    def __init__(self, id: _Optional[int] = ..., state: _Optional[_Union[SessionState, str]] = ..., peer: _Optional[str] = ..., started_unix_ms: _Optional[float] = ..., ended_unix_ms: _Optional[float] = ..., end_reason: _Optional[str] = ..., chain: _Optional[str] = ..., chain_description: _Optional[str] = ..., gadgets: _Optional[_Iterable[_Union[GadgetFigures, _Mapping]]] = ..., protocol: _Optional[_Union[Protocol, _Mapping]] = ..., patient: _Optional[_Union[Patient, _Mapping]] = ..., n_readouts: _Optional[int] = ..., n_readouts_expected: _Optional[int] = ..., n_bytes_in: _Optional[int] = ..., n_bytes_out: _Optional[int] = ..., n_images: _Optional[int] = ..., last_readout_unix_ms: _Optional[float] = ..., last_image_unix_ms: _Optional[float] = ..., notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ..., n_warnings: _Optional[int] = ..., n_errors: _Optional[int] = ..., journal: _Optional[_Union[JournalState, str]] = ..., replay: _Optional[str] = ..., queues: _Optional[_Iterable[_Union[QueueFill, _Mapping]]] = ...) -> None: ...

class GadgetFigures(_message.Message):
    __slots__ = ("gadget", "messages_in", "messages_out", "faults", "busy_ms", "longest_ms")
    GADGET_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_IN_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_OUT_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    BUSY_MS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_MS_FIELD_NUMBER: _ClassVar[int]
    gadget: str
    messages_in: int
    messages_out: int
    faults: int
    busy_ms: float
    longest_ms: float
    def __init__(self, gadget: _Optional[str] = ..., messages_in: _Optional[int] = ..., messages_out: _Optional[int] = ..., faults: _Optional[int] = ..., busy_ms: _Optional[float] = ..., longest_ms: _Optional[float] = ...) -> None: ...

class Protocol(_message.Message):
    __slots__ = ("name", "measurement_id", "series_description", "patient_position", "system_vendor", "system_model", "field_strength_t", "institution", "trajectory", "matrix_size", "field_of_view_mm")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEASUREMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SERIES_DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PATIENT_POSITION_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_VENDOR_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_MODEL_FIELD_NUMBER: _ClassVar[int]
    FIELD_STRENGTH_T_FIELD_NUMBER: _ClassVar[int]
    INSTITUTION_FIELD_NUMBER: _ClassVar[int]
    TRAJECTORY_FIELD_NUMBER: _ClassVar[int]
    MATRIX_SIZE_FIELD_NUMBER: _ClassVar[int]
    FIELD_OF_VIEW_MM_FIELD_NUMBER: _ClassVar[int]
    name: str
    measurement_id: str
    series_description: str
    patient_position: str
    system_vendor: str
    system_model: str
    field_strength_t: float
    institution: str
    trajectory: str
    matrix_size: _containers.RepeatedScalarFieldContainer[int]
    field_of_view_mm: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., measurement_id: _Optional[str] = ..., series_description: _Optional[str] = ..., patient_position: _Optional[str] = ..., system_vendor: _Optional[str] = ..., system_model: _Optional[str] = ..., field_strength_t: _Optional[float] = ..., institution: _Optional[str] = ..., trajectory: _Optional[str] = ..., matrix_size: _Optional[_Iterable[int]] = ..., field_of_view_mm: _Optional[_Iterable[float]] = ...) -> None: ...

class Patient(_message.Message):
    __slots__ = ("name", "id", "birthdate", "sex", "weight_kg")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    BIRTHDATE_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_KG_FIELD_NUMBER: _ClassVar[int]
    name: str
    id: str
    birthdate: str
    sex: str
    weight_kg: float
    def __init__(self, name: _Optional[str] = ..., id: _Optional[str] = ..., birthdate: _Optional[str] = ..., sex: _Optional[str] = ..., weight_kg: _Optional[float] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("level", "unix_ms", "source", "slice", "repetition", "what", "remedy")
    class Level(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LEVEL_UNSPECIFIED: _ClassVar[Notice.Level]
        LEVEL_INFO: _ClassVar[Notice.Level]
        LEVEL_WARNING: _ClassVar[Notice.Level]
        LEVEL_ERROR: _ClassVar[Notice.Level]
    LEVEL_UNSPECIFIED: Notice.Level
    LEVEL_INFO: Notice.Level
    LEVEL_WARNING: Notice.Level
    LEVEL_ERROR: Notice.Level
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    REPETITION_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    level: Notice.Level
    unix_ms: float
    source: str
    slice: int
    repetition: int
    what: str
    remedy: str
    def __init__(self, level: _Optional[_Union[Notice.Level, str]] = ..., unix_ms: _Optional[float] = ..., source: _Optional[str] = ..., slice: _Optional[int] = ..., repetition: _Optional[int] = ..., what: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class QueueFill(_message.Message):
    __slots__ = ("queue", "waiting", "capacity")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    queue: str
    waiting: int
    capacity: int
    def __init__(self, queue: _Optional[str] = ..., waiting: _Optional[int] = ..., capacity: _Optional[int] = ...) -> None: ...
