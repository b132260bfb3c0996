"""Follows sessions and gets images and maps as numpy arrays of their true values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from .v1 import (
    chains_pb2,
    chains_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    live_pb2,
    live_pb2_grpc,
    log_pb2,
    log_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    replays_pb2,
    replays_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
)

#: Largest image that is taken.
MAX_MESSAGE_BYTES = 1 << 30

Values = NDArray[np.float32] | NDArray[np.complex64]


def values_of(pixels: images_pb2.Pixels) -> Values:
    """The values as [channel, z, y, x]: float32 in the image's unit, or complex64."""
    is_complex = pixels.element_type == images_pb2.ELEMENT_TYPE_COMPLEX64
    kind = np.dtype("<c8" if is_complex else "<f4")
    return np.frombuffer(pixels.data, dtype=kind).reshape(tuple(pixels.shape))


@dataclass(frozen=True)
class ImageWithValues:
    """An image or a map."""

    #: What is said of it: unit, window, verdict, geometry, latency, …
    facts: images_pb2.Image
    #: [channel, z, y, x], in the unit of `facts.unit`; where `facts.zero_is_invalid`, 0 is no value.
    values: Values


@dataclass(frozen=True)
class Resumed:
    """The connection broke and is there again.

    Where `is_whole`, nothing was missed. Else the server was restarted or too much has happened:
    all sessions and images that there are follow anew.
    """

    is_whole: bool


class Client:
    """A connection to the control plane of a server.

    * `address`: HOST:PORT, as `boreside serve` prints it.
    * `token`: what `--http-token-file` holds; it needs `certificates`.
    * `certificates`: PEM file of the certificates that are trusted, for TLS.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:9080",
        token: str | None = None,
        certificates: str | Path | None = None,
    ) -> None:
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_http_proxy", 0),
            # A line that is dead without a word is noticed.
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if certificates is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            trusted = grpc.ssl_channel_credentials(Path(certificates).read_bytes())
            self._channel = grpc.secure_channel(address, trusted, options)
        self._server = server_pb2_grpc.ServerServiceStub(self._channel)
        self._sessions = sessions_pb2_grpc.SessionServiceStub(self._channel)
        self._images = images_pb2_grpc.ImageServiceStub(self._channel)
        self._live = live_pb2_grpc.LiveServiceStub(self._channel)
        self._chains = chains_pb2_grpc.ChainServiceStub(self._channel)
        self._models = models_pb2_grpc.ModelServiceStub(self._channel)
        self._replays = replays_pb2_grpc.ReplayServiceStub(self._channel)
        self._log = log_pb2_grpc.LogServiceStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def server(self) -> server_pb2.ServerInfo:
        """The server itself."""
        request = server_pb2.GetServerInfoRequest()
        return self._server.GetServerInfo(request, metadata=self._metadata).server

    def sessions(self, live_only: bool = False) -> list[sessions_pb2.Session]:
        """Sessions, the newest first."""
        request = sessions_pb2.ListSessionsRequest(live_only=live_only)
        return list(self._sessions.ListSessions(request, metadata=self._metadata).sessions)

    def session(self, number: int) -> sessions_pb2.Session:
        """One session."""
        request = sessions_pb2.GetSessionRequest(id=number)
        return self._sessions.GetSession(request, metadata=self._metadata).session

    def images(self, session: int = 0) -> list[images_pb2.Image]:
        """Images that are kept, of one session or of all, the oldest first; without values."""
        request = images_pb2.ListImagesRequest(session=session)
        return list(self._images.ListImages(request, metadata=self._metadata).images)

    def image(self, number: int) -> ImageWithValues:
        """One image with its values."""
        request = images_pb2.GetImageRequest(id=number)
        found = self._images.GetImage(request, metadata=self._metadata)
        return ImageWithValues(found.image, values_of(found.pixels))

    def export(self, images: list[int], path: str | Path) -> None:
        """Writes images of one session into a file, an MRD stream."""
        request = images_pb2.ExportImagesRequest(
            ids=images, format=images_pb2.FILE_FORMAT_MRD_STREAM
        )
        with Path(path).open("wb") as file:
            for piece in self._images.ExportImages(request, metadata=self._metadata):
                file.write(piece.data)

    def chains(self) -> list[chains_pb2.Chain]:
        """Chains that scanners can name."""
        request = chains_pb2.ListChainsRequest()
        return list(self._chains.ListChains(request, metadata=self._metadata).chains)

    def check_chain(self, text: str) -> list[chains_pb2.ChainFault]:
        """What is wrong with a chain's text; nothing where it can be run."""
        request = chains_pb2.CheckChainRequest(text=text)
        return list(self._chains.CheckChain(request, metadata=self._metadata).faults)

    def models(self) -> list[models_pb2.Model]:
        """Networks and how they are."""
        request = models_pb2.ListModelsRequest()
        return list(self._models.ListModels(request, metadata=self._metadata).models)

    def replay(self, recording: int | str, chain: str = "", realtime: bool = False) -> int:
        """Replays a journalled session (its number) or a file; gives the new session's number."""
        request = replays_pb2.StartReplayRequest(
            chain=chain, pace=replays_pb2.PACE_REALTIME if realtime else replays_pb2.PACE_MAX
        )
        if isinstance(recording, int):
            request.session = recording
        else:
            request.file = recording
        return self._replays.StartReplay(request, metadata=self._metadata).session

    def log(self, n_lines: int = 100, follow: bool = False) -> Iterator[log_pb2.TailLogResponse]:
        """The last lines of the log, and those that follow."""
        request = log_pb2.TailLogRequest(n_lines=n_lines, follow=follow)
        yield from self._log.TailLog(request, metadata=self._metadata)

    def watch(
        self, session: int = 0, patience_s: float = 60.0
    ) -> Iterator[sessions_pb2.Session | ImageWithValues | Resumed]:
        """What happens, beginning with what there is: images, and sessions whenever they go on.

        A session that has ended comes after all of its images.

        Survives lost connections and restarts of the server, which it tells by a `Resumed`; who
        does not come back within `patience_s` raises the error of the connection.
        """
        epoch, sequence, lost_since = "", 0, 0.0
        # Of the first answer, until its images have come; None behind that.
        held: list[sessions_pb2.Session] | None = None
        while True:
            request = live_pb2.WatchRequest(
                epoch=epoch,
                after_sequence=sequence,
                session=session,
                inline_pixels_up_to_bytes=64 << 20,
            )
            try:
                was_lost = lost_since > 0.0
                for told in self._live.Watch(request, metadata=self._metadata):
                    lost_since = 0.0
                    event = told.WhichOneof("event")
                    if event == "hello" and was_lost and told.hello.epoch == epoch:
                        yield Resumed(is_whole=True)
                    elif event == "reset" and told.reset.reason != live_pb2.Reset.REASON_NEW:
                        yield Resumed(is_whole=False)
                    if event == "hello" and told.hello.epoch != epoch:
                        epoch, sequence = told.hello.epoch, 0
                    if event == "reset":
                        held = []
                    elif event == "caught_up" and held is not None:
                        yield from held
                        held = None
                    elif event == "session":
                        if held is None:
                            yield told.session
                        else:
                            held.append(told.session)
                    elif event == "image":
                        image = self._with_values(told.image)
                        if image is not None:
                            yield image
                    sequence = max(sequence, told.sequence)
            except grpc.RpcError as error:
                if error.code() not in (
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                ):
                    raise
                now = time.monotonic()
                lost_since = lost_since or now
                if now - lost_since > patience_s:
                    raise
            else:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > patience_s:
                    raise ConnectionError("the server ends each connection at once")
            time.sleep(0.2)

    def _with_values(self, new: live_pb2.NewImage) -> ImageWithValues | None:
        if new.HasField("pixels"):
            return ImageWithValues(new.image, values_of(new.pixels))
        try:
            return self.image(new.image.id)
        except grpc.RpcError as error:
            # It has made room for others meanwhile.
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise
