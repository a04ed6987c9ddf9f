"""What the Pods of a product would serve, served on loopback."""

import base64
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.clusters import FakeCluster, Object, say
from tests.loopback import Request


@contextmanager
def products(
    first_port: int, first_node_port: int, received: list[tuple[str, Any]] | None = None
) -> Iterator[Callable[[Object, Any], None]]:
    """Serve what the Pods of a product would, on the ports of loopback that lead to node ports.

    A Pod without a node port gets a free port, which is in `doors` of the cluster, by
    `NAMESPACE/POD`.  What is created is added to `received`, by its path.
    """
    servers: dict[int, ThreadingHTTPServer] = {}

    def stop(port: int) -> None:
        server = servers.pop(port)
        server.shutdown()
        server.server_close()

    def serve(pod: Object, cluster: FakeCluster) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        service = cluster.objects.get(f"/api/v1/namespaces/{namespace}/services/{name}")
        node_port = service["spec"]["ports"][0].get("nodePort") if service else None
        port = 0 if node_port is None else first_port + node_port - first_node_port
        secret = cluster.objects.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if port in servers:  # of an earlier launch
            stop(port)
        handler = type(
            "Handler", (Request,), {"answer": staticmethod(partial(_product, received=received))}
        )
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        server.daemon_threads, server.block_on_close = True, False
        if secret:
            _with_tls(server, secret["data"])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        cluster.doors[f"{namespace}/{name}"] = server.server_port
        servers[server.server_port] = server

    try:
        yield serve
    finally:
        for port in list(servers):
            stop(port)


def _product(request: Request, body: bytes, received: list[tuple[str, Any]] | None) -> None:
    if body and received is not None:
        received.append((request.path, json.loads(body)))
    if "dryRun" in request.path:  # as webhooks do that are installed
        say(request, {"message": "denied"}, 403)
        return
    conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "Established", "Active")]
    say(request, {"status": {"conditions": conditions}, "items": []})


def _with_tls(server: ThreadingHTTPServer, data: Object) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("server.crt", "server.key")]
        for path in paths:
            path.write_bytes(base64.b64decode(data[path.name]))
        context.load_cert_chain(str(paths[0]), str(paths[1]))
    server.socket = context.wrap_socket(server.socket, server_side=True)
