from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_MRD_STREAM: _ClassVar[FileFormat]
    FILE_FORMAT_MRD_HDF5: _ClassVar[FileFormat]
    FILE_FORMAT_DICOM: _ClassVar[FileFormat]

class ImageKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_KIND_UNSPECIFIED: _ClassVar[ImageKind]
    IMAGE_KIND_PICTURE: _ClassVar[ImageKind]
    IMAGE_KIND_MAP: _ClassVar[ImageKind]
    IMAGE_KIND_UNCERTAINTY: _ClassVar[ImageKind]
    IMAGE_KIND_GOODNESS_OF_FIT: _ClassVar[ImageKind]
    IMAGE_KIND_LABELS: _ClassVar[ImageKind]
    IMAGE_KIND_COLOR: _ClassVar[ImageKind]

class Component(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPONENT_UNSPECIFIED: _ClassVar[Component]
    COMPONENT_MAGNITUDE: _ClassVar[Component]
    COMPONENT_PHASE: _ClassVar[Component]
    COMPONENT_REAL: _ClassVar[Component]
    COMPONENT_IMAGINARY: _ClassVar[Component]
    COMPONENT_COMPLEX: _ClassVar[Component]
    COMPONENT_RGB: _ClassVar[Component]

class MotionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MOTION_STATE_UNSPECIFIED: _ClassVar[MotionState]
    MOTION_STATE_UNCORRECTED: _ClassVar[MotionState]
    MOTION_STATE_CORRECTED: _ClassVar[MotionState]

class ElementType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ELEMENT_TYPE_UNSPECIFIED: _ClassVar[ElementType]
    ELEMENT_TYPE_FLOAT32: _ClassVar[ElementType]
    ELEMENT_TYPE_COMPLEX64: _ClassVar[ElementType]
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_MRD_STREAM: FileFormat
FILE_FORMAT_MRD_HDF5: FileFormat
FILE_FORMAT_DICOM: FileFormat
IMAGE_KIND_UNSPECIFIED: ImageKind
IMAGE_KIND_PICTURE: ImageKind
IMAGE_KIND_MAP: ImageKind
IMAGE_KIND_UNCERTAINTY: ImageKind
IMAGE_KIND_GOODNESS_OF_FIT: ImageKind
IMAGE_KIND_LABELS: ImageKind
IMAGE_KIND_COLOR: ImageKind
COMPONENT_UNSPECIFIED: Component
COMPONENT_MAGNITUDE: Component
COMPONENT_PHASE: Component
COMPONENT_REAL: Component
COMPONENT_IMAGINARY: Component
COMPONENT_COMPLEX: Component
COMPONENT_RGB: Component
MOTION_STATE_UNSPECIFIED: MotionState
MOTION_STATE_UNCORRECTED: MotionState
MOTION_STATE_CORRECTED: MotionState
ELEMENT_TYPE_UNSPECIFIED: ElementType
ELEMENT_TYPE_FLOAT32: ElementType
ELEMENT_TYPE_COMPLEX64: ElementType

class ListImagesRequest(_message.Message):
    __slots__ = ("session", "series", "limit")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    session: int
    series: int
    limit: int
    def __init__(self, session: _Optional[int] = ..., series: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListImagesResponse(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[Image]
    def __init__(self, images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ...) -> None: ...

class GetImageRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    def __init__(self, id: _Optional[int] = ...) -> None: ...

class GetImageResponse(_message.Message):
    __slots__ = ("image", "pixels")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    image: Image
    pixels: Pixels
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., pixels: _Optional[_Union[Pixels, _Mapping]] = ...) -> None: ...

class ExportImagesRequest(_message.Message):
    __slots__ = ("ids", "format")
    IDS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    format: FileFormat
    def __init__(self, ids: _Optional[_Iterable[int]] = ..., format: _Optional[_Union[FileFormat, str]] = ...) -> None: ...

class ExportImagesResponse(_message.Message):
    __slots__ = ("file_name", "media_type", "data")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    media_type: str
    data: bytes
    def __init__(self, file_name: _Optional[str] = ..., media_type: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("id", "session", "series", "index", "counters", "ready_unix_ms", "kind", "component", "role", "quantity", "motion", "title", "unit", "zero_is_invalid", "window", "palette", "verdict", "comments", "unprocessed", "method", "models", "shape", "element_type", "n_bytes", "stored_type", "geometry", "latency", "times_ms", "meta")
    ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    READY_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    MOTION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ZERO_IS_INVALID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    PALETTE_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    COMMENTS_FIELD_NUMBER: _ClassVar[int]
    UNPROCESSED_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    ELEMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    N_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_TYPE_FIELD_NUMBER: _ClassVar[int]
    GEOMETRY_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    TIMES_MS_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    id: int
    session: int
    series: int
    index: int
    counters: Counters
    ready_unix_ms: float
    kind: ImageKind
    component: Component
    role: str
    quantity: str
    motion: MotionState
    title: str
    unit: str
    zero_is_invalid: bool
    window: Window
    palette: str
    verdict: Verdict
    comments: _containers.RepeatedScalarFieldContainer[str]
    unprocessed: _containers.RepeatedScalarFieldContainer[str]
    method: str
    models: _containers.RepeatedCompositeFieldContainer[Provenance]
    shape: _containers.RepeatedScalarFieldContainer[int]
    element_type: ElementType
    n_bytes: int
    stored_type: str
    geometry: Geometry
    latency: Latency
    times_ms: _containers.RepeatedScalarFieldContainer[float]
    meta: _containers.RepeatedCompositeFieldContainer[MetaEntry]
    def __init__(self, id: _Optional[int] = ..., session: _Optional[int] = ..., series: _Optional[int] = ..., index: _Optional[int] = ..., counters: _Optional[_Union[Counters, _Mapping]] = ..., ready_unix_ms: _Optional[float] = ..., kind: _Optional[_Union[ImageKind, str]] = ..., component: _Optional[_Union[Component, str]] = ..., role: _Optional[str] = ..., quantity: _Optional[str] = ..., motion: _Optional[_Union[MotionState, str]] = ..., title: _Optional[str] = ..., unit: _Optional[str] = ..., zero_is_invalid: _Optional[bool] = ..., window: _Optional[_Union[Window, _Mapping]] = ..., palette: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., comments: _Optional[_Iterable[str]] = ..., unprocessed: _Optional[_Iterable[str]] = ..., method: _Optional[str] = ..., models: _Optional[_Iterable[_Union[Provenance, _Mapping]]] = ..., shape: _Optional[_Iterable[int]] = ..., element_type: _Optional[_Union[ElementType, str]] = ..., n_bytes: _Optional[int] = ..., stored_type: _Optional[str] = ..., geometry: _Optional[_Union[Geometry, _Mapping]] = ..., latency: _Optional[_Union[Latency, _Mapping]] = ..., times_ms: _Optional[_Iterable[float]] = ..., meta: _Optional[_Iterable[_Union[MetaEntry, _Mapping]]] = ...) -> None: ...

class Counters(_message.Message):
    __slots__ = ("average", "slice", "contrast", "phase", "repetition", "set")
    AVERAGE_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    REPETITION_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    average: int
    slice: int
    contrast: int
    phase: int
    repetition: int
    set: int
    def __init__(self, average: _Optional[int] = ..., slice: _Optional[int] = ..., contrast: _Optional[int] = ..., phase: _Optional[int] = ..., repetition: _Optional[int] = ..., set: _Optional[int] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("center", "width")
    CENTER_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    center: float
    width: float
    def __init__(self, center: _Optional[float] = ..., width: _Optional[float] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("decision", "reason")
    class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DECISION_UNSPECIFIED: _ClassVar[Verdict.Decision]
        DECISION_ACCEPT: _ClassVar[Verdict.Decision]
        DECISION_CHECK: _ClassVar[Verdict.Decision]
        DECISION_REPEAT: _ClassVar[Verdict.Decision]
    DECISION_UNSPECIFIED: Verdict.Decision
    DECISION_ACCEPT: Verdict.Decision
    DECISION_CHECK: Verdict.Decision
    DECISION_REPEAT: Verdict.Decision
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    decision: Verdict.Decision
    reason: str
    def __init__(self, decision: _Optional[_Union[Verdict.Decision, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("model", "sha256", "provider", "runtime", "time_ms", "waited_ms", "guards", "fallback")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    WAITED_MS_FIELD_NUMBER: _ClassVar[int]
    GUARDS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    model: str
    sha256: str
    provider: str
    runtime: str
    time_ms: float
    waited_ms: float
    guards: str
    fallback: str
    def __init__(self, model: _Optional[str] = ..., sha256: _Optional[str] = ..., provider: _Optional[str] = ..., runtime: _Optional[str] = ..., time_ms: _Optional[float] = ..., waited_ms: _Optional[float] = ..., guards: _Optional[str] = ..., fallback: _Optional[str] = ...) -> None: ...

class Geometry(_message.Message):
    __slots__ = ("position_mm", "read_dir", "phase_dir", "slice_dir", "field_of_view_mm", "voxel_size_mm", "patient_from_voxel", "patient_table_position_mm")
    POSITION_MM_FIELD_NUMBER: _ClassVar[int]
    READ_DIR_FIELD_NUMBER: _ClassVar[int]
    PHASE_DIR_FIELD_NUMBER: _ClassVar[int]
    SLICE_DIR_FIELD_NUMBER: _ClassVar[int]
    FIELD_OF_VIEW_MM_FIELD_NUMBER: _ClassVar[int]
    VOXEL_SIZE_MM_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FROM_VOXEL_FIELD_NUMBER: _ClassVar[int]
    PATIENT_TABLE_POSITION_MM_FIELD_NUMBER: _ClassVar[int]
    position_mm: _containers.RepeatedScalarFieldContainer[float]
    read_dir: _containers.RepeatedScalarFieldContainer[float]
    phase_dir: _containers.RepeatedScalarFieldContainer[float]
    slice_dir: _containers.RepeatedScalarFieldContainer[float]
    field_of_view_mm: _containers.RepeatedScalarFieldContainer[float]
    voxel_size_mm: _containers.RepeatedScalarFieldContainer[float]
    patient_from_voxel: _containers.RepeatedScalarFieldContainer[float]
    patient_table_position_mm: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, position_mm: _Optional[_Iterable[float]] = ..., read_dir: _Optional[_Iterable[float]] = ..., phase_dir: _Optional[_Iterable[float]] = ..., slice_dir: _Optional[_Iterable[float]] = ..., field_of_view_mm: _Optional[_Iterable[float]] = ..., voxel_size_mm: _Optional[_Iterable[float]] = ..., patient_from_voxel: _Optional[_Iterable[float]] = ..., patient_table_position_mm: _Optional[_Iterable[float]] = ...) -> None: ...

class Latency(_message.Message):
    __slots__ = ("since_last_readout_ms", "since_start_ms", "stages")
    SINCE_LAST_READOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SINCE_START_MS_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    since_last_readout_ms: float
    since_start_ms: float
    stages: _containers.RepeatedCompositeFieldContainer[StageTime]
    def __init__(self, since_last_readout_ms: _Optional[float] = ..., since_start_ms: _Optional[float] = ..., stages: _Optional[_Iterable[_Union[StageTime, _Mapping]]] = ...) -> None: ...

class StageTime(_message.Message):
    __slots__ = ("gadget", "busy_ms")
    GADGET_FIELD_NUMBER: _ClassVar[int]
    BUSY_MS_FIELD_NUMBER: _ClassVar[int]
    gadget: str
    busy_ms: float
    def __init__(self, gadget: _Optional[str] = ..., busy_ms: _Optional[float] = ...) -> None: ...

class MetaEntry(_message.Message):
    __slots__ = ("key", "values")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    key: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Pixels(_message.Message):
    __slots__ = ("element_type", "shape", "data")
    ELEMENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    element_type: ElementType
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    def __init__(self, element_type: _Optional[_Union[ElementType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ...) -> None: ...
