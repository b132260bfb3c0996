from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListChainsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListChainsResponse(_message.Message):
    __slots__ = ("chains",)
    CHAINS_FIELD_NUMBER: _ClassVar[int]
    chains: _containers.RepeatedCompositeFieldContainer[Chain]
    def __init__(self, chains: _Optional[_Iterable[_Union[Chain, _Mapping]]] = ...) -> None: ...

class Chain(_message.Message):
    __slots__ = ("name", "description", "is_built_in", "gadgets", "error")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IS_BUILT_IN_FIELD_NUMBER: _ClassVar[int]
    GADGETS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    is_built_in: bool
    gadgets: _containers.RepeatedScalarFieldContainer[str]
    error: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., is_built_in: _Optional[bool] = ..., gadgets: _Optional[_Iterable[str]] = ..., error: _Optional[str] = ...) -> None: ...

class GetChainRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetChainResponse(_message.Message):
    __slots__ = ("chain", "text")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    chain: Chain
    text: str
    def __init__(self, chain: _Optional[_Union[Chain, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...

class CheckChainRequest(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class CheckChainResponse(_message.Message):
    __slots__ = ("chain", "faults")
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    chain: Chain
    faults: _containers.RepeatedCompositeFieldContainer[ChainFault]
    def __init__(self, chain: _Optional[_Union[Chain, _Mapping]] = ..., faults: _Optional[_Iterable[_Union[ChainFault, _Mapping]]] = ...) -> None: ...

class ChainFault(_message.Message):
    __slots__ = ("line", "what", "remedy")
    LINE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    line: int
    what: str
    remedy: str
    def __init__(self, line: _Optional[int] = ..., what: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class ListGadgetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListGadgetsResponse(_message.Message):
    __slots__ = ("gadgets",)
    GADGETS_FIELD_NUMBER: _ClassVar[int]
    gadgets: _containers.RepeatedCompositeFieldContainer[Gadget]
    def __init__(self, gadgets: _Optional[_Iterable[_Union[Gadget, _Mapping]]] = ...) -> None: ...

class Gadget(_message.Message):
    __slots__ = ("name", "aliases", "input", "output")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    input: str
    output: str
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., input: _Optional[str] = ..., output: _Optional[str] = ...) -> None: ...

class DescribeGadgetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeGadgetResponse(_message.Message):
    __slots__ = ("gadget", "properties", "json_schema")
    GADGET_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    gadget: Gadget
    properties: _containers.RepeatedCompositeFieldContainer[Property]
    json_schema: str
    def __init__(self, gadget: _Optional[_Union[Gadget, _Mapping]] = ..., properties: _Optional[_Iterable[_Union[Property, _Mapping]]] = ..., json_schema: _Optional[str] = ...) -> None: ...

class Property(_message.Message):
    __slots__ = ("name", "description", "type", "default_value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    type: str
    default_value: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., type: _Optional[str] = ..., default_value: _Optional[str] = ...) -> None: ...
